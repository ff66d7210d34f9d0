/** A sign-in that still needs its second factor, in a sealed cookie. */
import type { Cookies } from '@sveltejs/kit';

import type { Challenge } from './cognito';
import { hostCookie } from './host-cookie';
import { sealed } from './sealed';

/** The challenge, and the e-mail address by which attempts are counted. */
type Kept = Challenge & { email: string };

const COOKIE = hostCookie('challenge');
/** As long as Cognito keeps the challenge. */
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
