/** What the account pages' forms have in common. */
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;
/** As long as an address can be (RFC 5321). */
const MAX_EMAIL = 254;

export function readText(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value : '';
}

/** Good enough to catch a slip; whether it exists is for the code to show. */
export function isEmail(text: string): boolean {
  return text.length <= MAX_EMAIL && EMAIL.test(text);
}
