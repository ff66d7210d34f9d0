/**
 * An authenticator that is being set up: the access token of the person's reauthentication, in a
 * sealed cookie until the first code of the new authenticator is verified.
 */
import type { Cookies } from '@sveltejs/kit';

import { hostCookie } from './host-cookie';
import { sealed } from './sealed';

export type Enrolment = { subject: string; accessToken: string };

const COOKIE = hostCookie('enrolment');
/** Shorter than the token's lifetime. */
const SECONDS = 10 * 60;

export async function keepEnrolment(cookies: Cookies, enrolment: Enrolment): Promise<void> {
  const value = await sealed().close('enrolment', enrolment, SECONDS);
  COOKIE.write(cookies, value, SECONDS);
}

/** The token of this person's enrolment. */
export async function enrolmentOf(cookies: Cookies, subject: string): Promise<string | undefined> {
  const value = COOKIE.read(cookies);
  const content = value ? await sealed().open('enrolment', value) : undefined;
  if (content?.subject !== subject || typeof content.accessToken !== 'string') return undefined;
  return content.accessToken;
}

export function forgetEnrolment(cookies: Cookies): void {
  COOKIE.drop(cookies);
}
