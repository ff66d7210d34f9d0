/**
 * The password rules, by NIST SP 800-63B-4: long, of any characters, not breached, and not made of
 * common passwords, the shop's name or the account's address.
 */
import { ZxcvbnFactory } from '@zxcvbn-ts/core';
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common';

/** In characters: the minimum where the password is the only factor. */
export const MIN_PASSWORD = 15;
/** Cognito's maximum, in characters. */
export const MAX_PASSWORD = 256;
/**
 * The estimator's time grows faster than the length, so only this many characters are estimated.
 */
const MAX_ESTIMATED = 40;
/** On zxcvbn's scale of 0 to 4: withstands 10^8 guesses. */
const LEAST_SCORE = 3;

const SHOP = ['cauce', 'caucecauce', 'order desk', 'shop', 'tienda'];

let estimator: ZxcvbnFactory | undefined;

/** Whether an account with that address may have this password. */
export function isAcceptable(password: string, email: string): boolean {
  const length = [...password].length;
  if (length < MIN_PASSWORD || password.length > MAX_PASSWORD) return false;
  // Built on first use: the list is large, and few requests need it.
  estimator ??= new ZxcvbnFactory({
    dictionary,
    graphs: adjacencyGraphs,
    maxLength: MAX_ESTIMATED,
  });
  const { score } = estimator.check(password.slice(0, MAX_ESTIMATED), [...SHOP, ...partsOf(email)]);
  return score >= LEAST_SCORE;
}

/** The address and its parts. */
function partsOf(email: string): string[] {
  const address = email.toLowerCase();
  const words = address.split(/[^\p{L}\p{N}]+/u).filter((word) => word.length > 2);
  return [address, address.split('@')[0] ?? '', ...words];
}
