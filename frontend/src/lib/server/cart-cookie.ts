/** The cart's cookie. It is apart from the session, so that a cart survives signing in and out. */
import type { Cookies } from '@sveltejs/kit';

import { type Cart, formatCart, parseCart } from '$lib/cart';

const NAME = 'cauce_cart';
const DAYS_30 = 30 * 24 * 60 * 60;

export function readCart(cookies: Cookies): Cart {
  return parseCart(cookies.get(NAME));
}

export function writeCart(cookies: Cookies, cart: Cart): void {
  if (cart.length === 0) {
    cookies.delete(NAME, { path: '/' });
    return;
  }
  const options = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const;
  cookies.set(NAME, formatCart(cart), { ...options, maxAge: DAYS_30 });
}
