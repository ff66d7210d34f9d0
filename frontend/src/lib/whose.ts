/** The field by which a form says who was signed in when its page was opened. */
export const WHOSE = 'whose';

/** Tells a page that a form was not taken, for it was somebody else's. */
export const NOT_YOURS = 'not-yours';
