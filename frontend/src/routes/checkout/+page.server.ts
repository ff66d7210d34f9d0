import { randomUUID } from 'node:crypto';

import { fail, redirect } from '@sveltejs/kit';

import { without } from '$lib/cart';
import { signInPath } from '$lib/next-path';
import { outcome } from '$lib/server/api';
import { writeCart } from '$lib/server/cart-cookie';
import { type CartView, viewCart } from '$lib/server/cart-view';
import { formOf, signInFirst, takeDraft } from '$lib/server/draft';
import { remember } from '$lib/server/guest';
import { ownForm } from '$lib/server/own-form';
import { type Problem, refuse } from '$lib/server/problem';

import type { Actions, PageServerLoad } from './$types';
import { type FieldErrors, check, fieldOf, lineOf, placement, read } from './placement';

export const load: PageServerLoad = async ({ cookies, locals, request, url }) => {
  const isGuest = isGuests(locals, url);
  if (!locals.session && !isGuest) redirect(303, signInPath(url));
  const cart = await viewCart(locals.api, locals.cart);
  if (!cart.ok) refuse(cart.problem, url);
  // After a refused order the page shows what was refused, whatever the cart has become.
  if (request.method === 'GET' && !cart.value.orderable) redirect(303, '/cart');
  const draft = await takeDraft({ cookies, locals, url });
  const kept = draft && read(formOf(draft));
  // The key, too: the order may have been placed while the session ended.
  return { cart: cart.value, key: kept?.key ?? randomUUID(), values: kept?.values, isGuest };
};

export const actions: Actions = {
  default: async (event) => {
    const { cookies, locals, request, url } = event;
    const isGuest = isGuests(locals, url);
    const form = isGuest ? await request.formData() : (await ownForm(event)).form;
    const asked = read(form);
    const key = asked.key ?? randomUUID();
    const { values } = asked;

    const cart = await viewCart(locals.api, asked.cart);
    if (!cart.ok) return fail(503, { values, key, refusal: 'unavailable' as const });
    const again = { values, key, cart: cart.value };

    const errors = check(values, isGuest);
    if (Object.keys(errors).length > 0) {
      return fail(422, { ...again, refusal: 'form' as const, errors });
    }
    if (cart.value.totalCents !== asked.totalCents) {
      return fail(409, { ...again, refusal: 'pricesChanged' as const });
    }

    const params = { header: { 'Idempotency-Key': key } };
    const body = placement(asked, cart.value.currency);
    const { email } = values;
    const order = await outcome(
      isGuest
        ? locals.api.POST('/v1/guest/orders', { params, body: { ...body, email } })
        : locals.api.POST('/v1/orders', { params, body }),
    );
    if (!order.ok) {
      if (order.problem.kind === 'unauthorized') return signInFirst(event, form);
      return fail(409, { ...again, ...explain(order.problem, cart.value) });
    }

    const ordered = asked.cart.map(({ sku }) => sku);
    writeCart(cookies, without(locals.cart, ordered));
    if (!isGuest) redirect(303, `/orders/${order.value.id}?placed`);
    await remember(cookies, { number: order.value.number, email });
    redirect(303, '/guest-order?placed');
  },
};

/** Whether somebody without an account orders, and has said so. */
function isGuests(locals: App.Locals, url: URL): boolean {
  return !locals.session && url.searchParams.has('guest');
}

type Explanation = {
  refusal: 'form' | 'outOfStock' | 'alreadyPlaced' | 'tooMany' | 'unavailable' | 'unorderable';
  errors?: FieldErrors;
  /** What there is not enough of. */
  product?: string | undefined;
  key?: string;
};

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
    case 'idempotency-key-reused':
      return { refusal: 'alreadyPlaced', key: randomUUID() };
    case 'too-many-orders':
      return { refusal: 'tooMany' };
    default:
      return { refusal: 'unavailable' };
  }
}
