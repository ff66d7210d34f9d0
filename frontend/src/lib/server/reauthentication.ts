/**
 * Reauthentication: a person who is signed in proves their identity again before they change how
 * they sign in.
 */
import { type RequestEvent, redirect } from '@sveltejs/kit';

import { readCode, readText } from './account-form';
import { hasFailed, hasSucceeded, mayTry } from './attempts';
import { permissions } from './claims';
import { type Refusal, type Tokens, hasSecondFactor, reauthenticate } from './cognito';
import { type Session, endEverywhere, revoke } from './session';

export type Reauthenticated =
  | { ok: true; tokens: Tokens }
  | { ok: false; status: 400 | 422 | 429; error: Refusal | 'password' };

/**
 * Whether the form asks for a code: yes, unless Cognito says that the account has no second factor.
 */
export async function asksForCode({ accessToken }: Session): Promise<boolean> {
  const factor = await hasSecondFactor(accessToken);
  return !factor.ok || factor.value;
}

/** New tokens in return for the password and, for an account with a second factor, its code. */
export async function reauthenticated(
  event: RequestEvent,
  form: FormData,
  session: Session,
): Promise<Reauthenticated> {
  const password = readText(form, 'present-password');
  if (!password) return { ok: false, status: 422, error: 'password' };
  if (!(await mayTry(event, 'sign-in', session.email))) {
    return { ok: false, status: 429, error: 'too-many-attempts' };
  }
  const signedIn = await reauthenticate(session.email, password, readCode(form, 'present-code'));
  if (!signedIn.ok) {
    hasFailed('sign-in', session.email, signedIn.refusal);
    return { ok: false, status: 400, error: signedIn.refusal };
  }
  await hasSucceeded(event, 'sign-in', session.email);
  const { accessToken, refreshToken } = signedIn.value;
  if (permissions(accessToken).subject === session.subject) {
    return { ok: true, tokens: signedIn.value };
  }
  // The address belongs to another account by now: it was changed in another session.
  await revoke(refreshToken);
  return { ok: false, status: 400, error: 'wrong-credentials' };
}

/**
 * Ends every session, this one included, after a change to how the person signs in, and redirects
 * to a new sign-in. If Cognito does not answer, the change stands, and the page asks the person to
 * end the sessions.
 */
export async function signInAgain(
  { cookies }: Pick<RequestEvent, 'cookies'>,
  accessToken: string,
  done: string,
): Promise<never> {
  const ended = await endEverywhere(cookies, accessToken);
  if (!ended.ok) redirect(303, '/account?done=sessions-remain');
  redirect(303, `/sign-in?${new URLSearchParams({ done, next: '/account' })}`);
}
