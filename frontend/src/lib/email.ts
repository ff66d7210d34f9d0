/** E-mail addresses as people type them, by the API's rule (`Email` in `crates/orders/src/ids.rs`). */
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
/** The HTML standard's rule, and a dot in the domain. */
const EMAIL = new RegExp(`^[a-zA-Z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@(?:${LABEL}\\.)+${LABEL}$`);
/** As long as an address can be (RFC 5321). */
const MAX_EMAIL = 254;

/** What an account may have from before this rule, or from an import: it can still sign in. */
const ACCOUNT_NAME = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;

/** Whether an account may have that address. Whether one has it, only a code shows. */
export function mayHaveAccount(text: string): boolean {
  return text.length <= MAX_EMAIL && ACCOUNT_NAME.test(text);
}

/** Whether that can become an account's or an order's address. Whether it exists, only a code shows. */
export function isEmail(text: string): boolean {
  return text.length <= MAX_EMAIL && EMAIL.test(text);
}
