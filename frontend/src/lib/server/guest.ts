/** A guest's access to one order, by its number and their e-mail address. */
import type { Cookies } from '@sveltejs/kit';

import { type Api, type Result, outcome } from './api';
import { hostCookie } from './host-cookie';
import type { OrderWithEvents } from './order-view';
import { sealed } from './sealed';

export type Guest = { number: string; email: string };

const COOKIE = hostCookie('guest');
/** How long a guest can open the order without entering them again. */
const SECONDS = 24 * 60 * 60;

/** Keeps the guest's order in a sealed cookie, so that its page can be shown again. */
export async function remember(cookies: Cookies, guest: Guest): Promise<void> {
  const value = await sealed().close('guest', guest, SECONDS);
  COOKIE.write(cookies, value, SECONDS);
}

export async function recall(cookies: Cookies): Promise<Guest | undefined> {
  const value = COOKIE.read(cookies);
  const content = value ? await sealed().open('guest', value) : undefined;
  const { number, email } = content ?? {};
  return typeof number === 'string' && typeof email === 'string' ? { number, email } : undefined;
}

export function forgetGuest(cookies: Cookies): void {
  COOKIE.drop(cookies);
}

export function viewGuestOrder(api: Api, guest: Guest): Promise<Result<OrderWithEvents>> {
  return outcome(api.POST('/v1/guest/orders/find', { body: guest }));
}
