/** The checkout intent, in a sealed cookie that lives as long as the cart's. */
import { randomUUID } from 'node:crypto';

import type { Cookies } from '@sveltejs/kit';

import { type Intent, begin } from './checkout-intent';
import { hostCookie } from './host-cookie';
import { sealed } from './sealed';

const COOKIE = hostCookie('checkout');
const DAYS_30 = 30 * 24 * 60 * 60;

export async function readIntent(cookies: Cookies): Promise<Intent | undefined> {
  const value = COOKIE.read(cookies);
  const content = value ? await sealed().open('checkout', value) : undefined;
  // The seal proves that this site wrote the rest.
  return typeof content?.key === 'string' ? (content as Intent) : undefined;
}

/** The browser's intent; a new one, if it has none. */
export async function intentOf(cookies: Cookies): Promise<Intent> {
  const present = await readIntent(cookies);
  if (present) return present;
  const intent = begin(newKey());
  await writeIntent(cookies, intent);
  return intent;
}

export async function writeIntent(cookies: Cookies, intent: Intent): Promise<void> {
  COOKIE.write(cookies, await sealed().close('checkout', intent, DAYS_30), DAYS_30);
}

export function newKey(): string {
  return randomUUID();
}
