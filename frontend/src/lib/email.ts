/** E-mail addresses as people type them. */
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;
/** As long as an address can be (RFC 5321). */
const MAX_EMAIL = 254;

/** Good enough to catch a slip; whether it exists is for the code to show. */
export function isEmail(text: string): boolean {
  return text.length <= MAX_EMAIL && EMAIL.test(text);
}
