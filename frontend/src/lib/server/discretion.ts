/**
 * A visitor who has not signed in must not learn whether an account exists. Cognito's refusals
 * would reveal it, so they are shown as the same error.
 */
import type { Refusal } from './cognito';

/** Whether the refusal is about Cognito's availability, not about the account. */
export function isOutage(refusal: Refusal): boolean {
  return refusal === 'unavailable';
}

/** The error for a mailed code: the same for a wrong code, an expired one and a missing account. */
export function codeRefusal(
  refusal: Refusal,
): Extract<Refusal, 'wrong-code' | 'weak-password' | 'unavailable'> {
  return refusal === 'unavailable' || refusal === 'weak-password' ? refusal : 'wrong-code';
}
