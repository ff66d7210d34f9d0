/**
 * The accounts that have signed in from this browser, in a sealed cookie. Their attempts are
 * counted separately: otherwise strangers could use up a person's attempts and lock them out.
 */
import type { Cookies } from '@sveltejs/kit';

import { hostCookie } from './host-cookie';
import { sealed } from './sealed';

const COOKIE = hostCookie('known');
const SECONDS = 180 * 24 * 60 * 60;
/** Enough for a browser that a family shares. */
const MOST = 5;

/** Adds an account, by its hash, after a sign-in. */
export async function remember(cookies: Cookies, account: string): Promise<void> {
  const others = (await known(cookies)).filter((it) => it !== account);
  const accounts = [account, ...others].slice(0, MOST);
  const value = await sealed().close('known-accounts', { accounts }, SECONDS);
  COOKIE.write(cookies, value, SECONDS);
}

export async function isKnown(cookies: Cookies, account: string): Promise<boolean> {
  return (await known(cookies)).includes(account);
}

async function known(cookies: Cookies): Promise<unknown[]> {
  const value = COOKIE.read(cookies);
  const content = value ? await sealed().open('known-accounts', value) : undefined;
  return Array.isArray(content?.accounts) ? content.accounts : [];
}
