/** A sign-in that still lacks its second factor, kept sealed in the visitor's own browser. */
import type { Cookies } from '@sveltejs/kit';

import type { Challenge } from './cognito';
import { sealed } from './sealed';

const NAME = 'cauce_challenge';
/** As long as Cognito waits for the answer. */
const SECONDS = 180;
const OPTIONS = { path: '/sign-in', httpOnly: true, secure: true, sameSite: 'lax' } as const;

export async function keepChallenge(cookies: Cookies, challenge: Challenge): Promise<void> {
  const value = await sealed().close('challenge', challenge, SECONDS);
  cookies.set(NAME, value, { ...OPTIONS, maxAge: SECONDS });
}

export async function challengeOf(cookies: Cookies): Promise<Challenge | undefined> {
  const value = cookies.get(NAME);
  const content = value ? await sealed().open('challenge', value) : undefined;
  if (typeof content?.username !== 'string' || typeof content.session !== 'string') {
    return undefined;
  }
  return { username: content.username, session: content.session };
}

export function forgetChallenge(cookies: Cookies): void {
  if (cookies.get(NAME) !== undefined) cookies.delete(NAME, OPTIONS);
}
