import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { outcome } from '$lib/server/api';
import { type CartView, viewCart } from '$lib/server/cart-view';
import { intentOf, writeIntent } from '$lib/server/checkout-cookie';
import {
  type Buyer,
  type Intent,
  type OrderPlace,
  isReady,
  refused,
  settled,
} from '$lib/server/checkout-intent';
import { formOf, signInFirst, takeDraft } from '$lib/server/draft';
import {
  findFate,
  findPlaced,
  finish,
  openOrder,
  placeOf,
  redirectToOrder,
  resolveEarlier,
} from '$lib/server/earlier-order';
import { ownForm } from '$lib/server/own-form';
import { type Problem, refuse } from '$lib/server/problem';

import type { Actions, PageServerLoad, RequestEvent } from './$types';
import { buyerOf, isGuests } from './buyer';
import {
  type FieldErrors,
  type Request,
  check,
  fieldOf,
  lineOf,
  placement,
  read,
} from './placement';

export const load: PageServerLoad = async (event) => {
  const { cookies, locals, request, url } = event;
  const isGuest = isGuests(locals, url);
  if (!locals.session && !isGuest) redirect(303, signInPath(url));
  const isShown = request.method === 'GET';
  // Before the cart is loaded: an order that was accepted may have used up the stock.
  const earlier = isShown ? await resolveEarlier(event) : undefined;
  const cart = await viewCart(locals.api, locals.cart);
  if (!cart.ok) refuse(cart.problem, url);
  // After a refusal the page shows the refused cart, even if it can no longer be ordered.
  if (isShown && !earlier && !cart.value.orderable) redirect(303, '/cart');
  const draft = await takeDraft({ cookies, locals, url });
  const { key } = await intentOf(cookies);
  return {
    cart: cart.value,
    key,
    earlier,
    values: draft && read(formOf(draft)).values,
    isGuest,
  };
};

export const actions: Actions = {
  default: async (event) => {
    const { cookies, locals, request, url } = event;
    const isGuest = isGuests(locals, url);
    const form = isGuest ? await request.formData() : (await ownForm(event)).form;
    const asked = read(form);
    const buyer = buyerOf(locals, url, asked.values);
    if (!buyer) return signInFirst(event, form);
    const sent: Sent = { event, form, asked, buyer, intent: await intentOf(cookies) };

    const errors = check(asked.values, isGuest);
    if (Object.keys(errors).length > 0) return again(sent, { refusal: 'form', errors }, asked.key);
    if (asked.key !== sent.intent.key) return answerStale(sent);
    if (!isReady(sent.intent, buyer, Date.now())) return answerUnready(sent);
    return place(sent);
  },
};

/** The form as it was sent, and what the browser keeps. */
type Sent = {
  event: RequestEvent;
  form: FormData;
  asked: Request;
  buyer: Buyer;
  intent: Intent;
};

type Refusal =
  | 'form'
  | 'outOfStock'
  | 'outdated'
  | 'pending'
  | 'pricesChanged'
  | 'tooLarge'
  | 'tooMany'
  | 'tooMuchUnpaid'
  | 'unavailable'
  | 'unorderable';

type Explanation = {
  refusal: Refusal;
  errors?: FieldErrors;
  /** The title of the product that is out of stock. */
  product?: string | undefined;
};

/**
 * Handles a form of another intent than the browser's: it can show its own order, but place none.
 */
async function answerStale(sent: Sent) {
  const { event, asked, buyer, intent } = sent;
  const { last } = intent;
  if (!asked.key) return again(sent, { refusal: 'outdated' });
  if (last?.key === asked.key && isShownTo(last.order, buyer))
    return redirectToOrder(event, last.order);
  const found = await findPlaced(event.locals.api, asked.key, buyer);
  if (!found.ok) return again(sent, { refusal: 'unavailable' }, asked.key);
  if (found.value) return redirectToOrder(event, placeOf(found.value, buyer));
  return again(sent, { refusal: 'outdated' });
}

/** Handles a form of the browser's intent while an earlier attempt is still open. */
async function answerUnready(sent: Sent) {
  const { event, buyer, intent } = sent;
  // The browser resubmitted a refused form without passing `/checkout/attempt`.
  if (!intent.attempt) return again(sent, { refusal: 'outdated' });
  const result = await findFate(event, intent.key, intent.attempt);
  switch (result.kind) {
    case 'placed':
    case 'forgotten':
    case 'other-account':
      return redirectToCheckout(buyer);
    case 'not-placed':
      await writeIntent(event.cookies, settled(intent));
      return again(sent, { refusal: 'outdated' });
    case 'pending':
    case 'unavailable':
      return again(sent, { refusal: result.kind });
  }
}

/** Redirects to the checkout, which shows the order of an earlier attempt, or asks what to do. */
function redirectToCheckout(buyer: Buyer): never {
  redirect(303, buyer.kind === 'guest' ? '/checkout?guest' : '/checkout');
}

async function place(sent: Sent) {
  const { event, form, asked, buyer, intent } = sent;
  const { locals } = event;
  const cart = await viewCart(locals.api, asked.cart);
  if (!cart.ok) return again(sent, { refusal: 'unavailable' });
  const { currency, lines, totalCents } = cart.value;
  if (lines.some(({ isOtherCurrency }) => isOtherCurrency))
    return answerRefusal(sent, { refusal: 'unorderable' });
  if (totalCents !== asked.totalCents || currency !== asked.currency)
    return answerRefusal(sent, { refusal: 'pricesChanged' });

  const params = { header: { 'Idempotency-Key': intent.key } };
  const body = placement(asked);
  const order = await outcome(
    buyer.kind === 'guest'
      ? locals.api.POST('/v1/guest/orders', { params, body: { ...body, email: buyer.email } })
      : locals.api.POST('/v1/orders', { params, body }),
  );
  if (order.ok) {
    const placed = await finish(event, intent, order.value, buyer);
    return redirect(303, `${await openOrder(event, placed)}?placed`);
  }
  switch (order.problem.kind) {
    case 'idempotency-key-reused':
      // An earlier attempt was accepted, and the form was changed since.
      return redirectToCheckout(buyer);
    case 'unauthorized':
      return signInFirst(event, form);
    case 'unavailable':
      return again(sent, { refusal: 'unavailable' });
    case 'validation':
      // No order can have such an address, so the lookup would fail, too.
      if (order.problem.field === 'email') {
        await writeIntent(event.cookies, settled(intent));
        return again(sent, explain(order.problem, cart.value));
      }
      return answerRefusal(sent, explain(order.problem, cart.value));
    case 'order-too-large':
    case 'out-of-stock':
    case 'too-much-unpaid':
      return answerRefusal(sent, explain(order.problem, cart.value));
    default:
      // A rate limit, the firewall or the gateway has refused this request. An earlier one may have
      // been accepted.
      return answerRefusal(sent, explain(order.problem, cart.value), again);
  }
}

/**
 * Shows the refusal, or the order if there is one: `transport.ts` may have retried, so a refusal
 * does not prove that the first request was not accepted.
 */
async function answerRefusal(sent: Sent, explanation: Explanation, answer = settle) {
  const { event, buyer, intent } = sent;
  const found = await findPlaced(event.locals.api, intent.key, buyer);
  if (!found.ok) return again(sent, { refusal: 'unavailable' });
  if (found.value) return redirectToOrder(event, await finish(event, intent, found.value, buyer));
  return answer(sent, explanation);
}

/** Like `again`, once it is known that the last attempt has placed no order. */
async function settle(sent: Sent, explanation: Explanation) {
  await writeIntent(sent.event.cookies, refused(sent.intent));
  return again(sent, explanation);
}

/** Shows the form again, with the reason why no order was placed, or why that is not known. */
async function again(
  { event, asked, intent }: Sent,
  explanation: Explanation,
  key: string | undefined = intent.key,
) {
  const cart = await viewCart(event.locals.api, asked.cart);
  const status = explanation.refusal === 'form' ? 422 : 409;
  return fail(cart.ok ? status : 503, {
    values: asked.values,
    key,
    cart: cart.ok ? cart.value : undefined,
    ...explanation,
  });
}

/** An account's order is shown to that account only. */
function isShownTo(order: OrderPlace, buyer: Buyer): boolean {
  return order.kind === 'guest' || buyer.kind === 'account';
}

/** What a refused order means on this page. */
function explain(problem: Problem, cart: CartView): Explanation {
  switch (problem.kind) {
    case 'out-of-stock': {
      const line = cart.lines[lineOf(problem.field) ?? 0];
      return { refusal: 'outOfStock', product: line?.product?.title ?? line?.sku };
    }
    case 'validation': {
      const field = fieldOf(problem.field);
      if (!field) return { refusal: 'unorderable' };
      return { refusal: 'form', errors: { [field]: 'refused' } };
    }
    case 'order-too-large':
      return { refusal: 'tooLarge' };
    case 'too-many-orders':
      return { refusal: 'tooMany' };
    case 'too-much-unpaid':
      return { refusal: 'tooMuchUnpaid' };
    default:
      return { refusal: 'unavailable' };
  }
}
