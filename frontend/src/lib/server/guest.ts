/** Somebody without an account, who has an order by its number and their e-mail. */
import type { Cookies } from '@sveltejs/kit';

import { type Api, type Result, outcome } from './api';
import { hostCookie } from './host-cookie';
import type { OrderWithEvents } from './order-view';
import { sealed } from './sealed';

export type Guest = { number: string; email: string };

const COOKIE = hostCookie('guest');
/** As long as somebody follows an order without asking for it again. */
const SECONDS = 24 * 60 * 60;

/** Has the guest's own browser remember the order, so that its page can be shown again. */
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
