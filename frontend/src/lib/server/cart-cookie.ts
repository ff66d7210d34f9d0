/**
 * The cart's cookie. It is separate from the session, so that a cart survives signing in and out.
 */
import type { Cookies } from '@sveltejs/kit';

import { type Cart, formatCart, parseCart } from '$lib/cart';

import { hostCookie } from './host-cookie';

const COOKIE = hostCookie('cart');
const DAYS_30 = 30 * 24 * 60 * 60;

export function readCart(cookies: Cookies): Cart {
  return parseCart(COOKIE.read(cookies));
}

export function writeCart(cookies: Cookies, cart: Cart): void {
  if (cart.length === 0) COOKIE.drop(cookies);
  else COOKIE.write(cookies, formatCart(cart), DAYS_30);
}
