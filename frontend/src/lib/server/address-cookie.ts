/**
 * The e-mail address that the visitor has just typed, for the next page of the same flow. It is
 * kept in a sealed cookie, not in the URL: URLs end up in histories and logs.
 */
import type { Cookies } from '@sveltejs/kit';

import { hostCookie } from './host-cookie';
import { sealed } from './sealed';

const COOKIE = hostCookie('address');
const SECONDS = 60 * 60;

export async function keepAddress(cookies: Cookies, email: string): Promise<void> {
  const value = await sealed().close('address', { email }, SECONDS);
  COOKIE.write(cookies, value, SECONDS);
}

/** The address, or an empty string. */
export async function addressOf(cookies: Cookies): Promise<string> {
  const value = COOKIE.read(cookies);
  const content = value ? await sealed().open('address', value) : undefined;
  return typeof content?.email === 'string' ? content.email : '';
}

export function forgetAddress(cookies: Cookies): void {
  COOKIE.drop(cookies);
}
