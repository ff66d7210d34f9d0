/** E-mail addresses as people type them, by the API's rule (`Email` in `crates/orders/src/ids.rs`). */
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
/** The HTML standard's rule, plus a dot in the domain. */
const EMAIL = new RegExp(`^[a-zA-Z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@(?:${LABEL}\\.)+${LABEL}$`);
/** The longest address (RFC 5321). */
const MAX_EMAIL = 254;

/**
 * An account from before this rule, or from an import, may have such an address and can still sign
 * in.
 */
const ACCOUNT_NAME = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;

/** Whether an account may have this address. */
export function mayHaveAccount(text: string): boolean {
  return text.length <= MAX_EMAIL && ACCOUNT_NAME.test(text);
}

/**
 * Whether this can become the address of an account or an order. Only a code sent to it proves that
 * it exists.
 */
export function isEmail(text: string): boolean {
  return text.length <= MAX_EMAIL && EMAIL.test(text);
}
