/** The field with the user id of the person that a form was shown to. */
export const OWNER_FIELD = 'whose';

/** The parameter of a page that says that a form was refused, because another person sent it. */
export const NOT_YOURS = 'not-yours';
