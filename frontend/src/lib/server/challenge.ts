/** A sign-in that still lacks its second factor, kept sealed in the visitor's own browser. */
import type { Cookies } from '@sveltejs/kit';

import type { Challenge } from './cognito';
import { hostCookie } from './host-cookie';
import { sealed } from './sealed';

/** With the address that was signed in with, by which tries are counted. */
type Kept = Challenge & { email: string };

const COOKIE = hostCookie('challenge');
/** As long as Cognito waits for the answer. */
const SECONDS = 180;

export async function keepChallenge(cookies: Cookies, challenge: Kept): Promise<void> {
  const value = await sealed().close('challenge', challenge, SECONDS);
  COOKIE.write(cookies, value, SECONDS);
}

export async function challengeOf(cookies: Cookies): Promise<Kept | undefined> {
  const value = COOKIE.read(cookies);
  const content = value ? await sealed().open('challenge', value) : undefined;
  const { username, session, email } = content ?? {};
  const isWhole =
    typeof username === 'string' && typeof session === 'string' && typeof email === 'string';
  return isWhole ? { username, session, email } : undefined;
}

export function forgetChallenge(cookies: Cookies): void {
  COOKIE.drop(cookies);
}
