/** Finds the order of an earlier attempt, and redirects to it. */
import { type RequestEvent, redirect } from '@sveltejs/kit';

import { subtract } from '$lib/cart';

import { type Api, type Order, type Result, outcome } from './api';
import { writeCart } from './cart-cookie';
import { newKey, readIntent, writeIntent } from './checkout-cookie';
import {
  type Attempt,
  type Buyer,
  type Fate,
  type Intent,
  type OrderPlace,
  fate,
  finished,
  isSame,
  seen,
  settled,
} from './checkout-intent';
import { remember } from './guest';
import type { Session } from './session';

type Event = Pick<RequestEvent, 'cookies' | 'locals'>;

/** An earlier attempt that the visitor has to decide about. */
export type Earlier = { at: number } & (
  | { kind: 'forgotten' }
  /** Only shown to the account that made the attempt. */
  | { kind: 'other-account' }
  /** A guest's order, while an account is signed in that may be another person's. */
  | { kind: 'guest-placed'; number: string }
);

/** The outcome of an attempt, as far as this visitor may know it. */
export type VisibleFate = Fate<Order> | { kind: 'other-account' } | { kind: 'unavailable' };

/**
 * The order that the buyer placed with the key; `undefined` if there is none. Any other result
 * leaves it unknown.
 */
export async function findPlaced(
  api: Api,
  key: string,
  buyer: Buyer,
): Promise<Result<Order | undefined>> {
  const params = { header: { 'Idempotency-Key': key } };
  return outcome<Order | undefined>(
    buyer.kind === 'account'
      ? api.POST('/v1/orders/placed', { params })
      : api.POST('/v1/guest/orders/placed', { params, body: { email: buyer.email } }),
  );
}

export async function findFate(
  { locals }: Event,
  key: string,
  attempt: Attempt,
): Promise<VisibleFate> {
  const { by } = attempt;
  if (by.kind === 'account' && by.id !== locals.session?.subject) return { kind: 'other-account' };
  const found = await findPlaced(locals.api, key, by);
  return found.ok ? fate(attempt, found.value, Date.now()) : { kind: 'unavailable' };
}

/**
 * Redirects to the order of an earlier attempt, or returns what the visitor has to decide before a
 * new one. Makes no request if there is no earlier attempt.
 */
export async function resolveEarlier(event: Event): Promise<Earlier | undefined> {
  const intent = await readIntent(event.cookies);
  const { last } = intent ?? {};
  if (last?.unseenBy && mayBeShown(event.locals.session, last.unseenBy)) {
    return redirectToOrder(event, last.order);
  }
  if (!intent?.attempt) return undefined;
  const at = intent.attempt.firstAt;
  const result = await findFate(event, intent.key, intent.attempt);
  switch (result.kind) {
    case 'placed': {
      const { by } = intent.attempt;
      if (mayBeAnother(event.locals.session, by)) {
        return { kind: 'guest-placed', at, number: result.order.number };
      }
      return redirectToOrder(event, await finish(event, intent, result.order, by));
    }
    case 'not-placed':
      await writeIntent(event.cookies, settled(intent));
      return undefined;
    case 'forgotten':
    case 'other-account':
      return { kind: result.kind, at };
    case 'pending':
    case 'unavailable':
      // The form is shown with the same key, and the attempt is checked again when it is sent.
      return undefined;
  }
}

/** Finishes the intent: the order's lines leave the cart, and the next purchase gets a new key. */
export async function finish(
  { cookies, locals }: Event,
  intent: Intent,
  order: Order,
  buyer: Buyer,
): Promise<OrderPlace> {
  const place = placeOf(order, buyer);
  writeCart(cookies, subtract(locals.cart, order.lines));
  await writeIntent(cookies, finished(intent, place, buyer, newKey()));
  return place;
}

/** Redirects to an order that was placed before. */
export async function redirectToOrder(event: Event, place: OrderPlace): Promise<never> {
  return redirect(303, `${await openOrder(event, place)}?already`);
}

/**
 * Records that the page of an order was shown. Until then the cart and the checkout redirect to it.
 * A page that was only prefetched does not count.
 */
export async function noteShown(
  { cookies, request, url }: Pick<RequestEvent, 'cookies' | 'request' | 'url'>,
  shown: OrderPlace,
): Promise<void> {
  const isLedTo = url.searchParams.has('already') || url.searchParams.has('placed');
  if (!isLedTo || isPrefetch(request)) return;
  const intent = await readIntent(cookies);
  const next = intent && seen(intent, shown);
  if (next && next !== intent) await writeIntent(cookies, next);
}

function isPrefetch({ headers }: Request): boolean {
  return ['sec-purpose', 'purpose'].some((name) => headers.get(name)?.includes('prefetch'));
}

/** The path of the order's page. For a guest, a cookie says which order it shows. */
export async function openOrder({ cookies }: Event, place: OrderPlace): Promise<string> {
  if (place.kind === 'account') return `/orders/${place.id}`;
  await remember(cookies, { number: place.number, email: place.email });
  return '/guest-order';
}

export function placeOf({ id, number }: Order, buyer: Buyer): OrderPlace {
  return buyer.kind === 'account'
    ? { kind: 'account', id }
    : { kind: 'guest', number, email: buyer.email };
}

function mayBeShown(session: Session | undefined, by: Buyer): boolean {
  return by.kind === 'account' ? by.id === session?.subject : !mayBeAnother(session, by);
}

/** Whether a guest's order may belong to another person than the account that is signed in. */
function mayBeAnother(session: Session | undefined, by: Buyer): boolean {
  if (!session || by.kind === 'account') return false;
  return !isSame(by, { kind: 'guest', email: session.email });
}
