/**
 * What a visitor may learn about an account that is not shown to be theirs: nothing, not even whether
 * there is one. Cognito's refusals tell it apart, so they are told the same.
 */
import type { Refusal } from './cognito';

/** Whether a refusal says only that Cognito does not answer. */
export function isOutage(refusal: Refusal): boolean {
  return refusal === 'unavailable';
}

/** What is wrong with a code that was mailed: one answer for wrong, expired, and of no account. */
export function codeRefusal(
  refusal: Refusal,
): Extract<Refusal, 'wrong-code' | 'weak-password' | 'unavailable'> {
  return refusal === 'unavailable' || refusal === 'weak-password' ? refusal : 'wrong-code';
}
