/** The errors that the fields for the password and the code show themselves. */
const OF_FIELDS = ['password', 'wrong-credentials', 'code-needed', 'wrong-code', 'expired-code'];

export function isOfReauthentication(error: string): boolean {
  return OF_FIELDS.includes(error);
}
