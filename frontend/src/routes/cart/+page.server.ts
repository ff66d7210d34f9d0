import { fail, redirect } from '@sveltejs/kit';

import { change, parseQuantity, parseSku, without } from '$lib/cart';
import { writeCart } from '$lib/server/cart-cookie';
import { viewCart } from '$lib/server/cart-view';
import { resolveEarlier } from '$lib/server/earlier-order';
import { refuse } from '$lib/server/problem';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async (event) => {
  const { locals, url } = event;
  // If an earlier attempt placed an order, redirect to it. The checkout shows what is undecided.
  await resolveEarlier(event);
  const cart = await viewCart(locals.api, locals.cart);
  if (!cart.ok) refuse(cart.problem, url);
  return { cart: cart.value };
};

export const actions: Actions = {
  change: async ({ cookies, locals, request }) => {
    const form = await request.formData();
    const sku = parseSku(form.get('sku'));
    const quantity = parseQuantity(form.get('quantity'));
    if (!sku || !quantity) return fail(422);
    writeCart(cookies, change(locals.cart, sku, quantity));
    redirect(303, '/cart');
  },
  remove: async ({ cookies, locals, request }) => {
    const sku = parseSku((await request.formData()).get('sku'));
    if (!sku) return fail(422);
    writeCart(cookies, without(locals.cart, [sku]));
    redirect(303, '/cart');
  },
};
