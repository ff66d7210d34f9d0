/** The errors that are shown at the fields for the password and the code. */
const OF_FIELDS = ['password', 'wrong-credentials', 'code-needed', 'wrong-code', 'expired-code'];

export function isOfReauthentication(error: string): boolean {
  return OF_FIELDS.includes(error);
}
