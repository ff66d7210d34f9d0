import { fail, redirect } from '@sveltejs/kit';

import { add, parseQuantity } from '$lib/cart';
import { outcome } from '$lib/server/api';
import { writeCart } from '$lib/server/cart-cookie';
import { refuse } from '$lib/server/problem';

import type { Actions, PageServerLoad } from './$types';

const RELATED = 4;

export const load: PageServerLoad = async ({ locals, params, url }) => {
  const path = { sku: params.sku };
  const product = await outcome(locals.api.GET('/v1/products/{sku}', { params: { path } }));
  if (!product.ok) refuse(product.problem, url);

  // The category has the attributes' titles. The page works without them.
  const query = { category: product.value.category, limit: RELATED + 1 };
  const shelf = await outcome(locals.api.GET('/v1/products', { params: { query } }));
  const { items, categories } = shelf.ok ? shelf.value : { items: [], categories: [] };
  return {
    product: product.value,
    category: categories.find(({ id }) => id === product.value.category),
    related: items.filter(({ sku }) => sku !== product.value.sku).slice(0, RELATED),
    added: parseQuantity(url.searchParams.get('added')),
  };
};

export const actions: Actions = {
  default: async ({ cookies, locals, params, request }) => {
    const { sku } = params;
    const quantity = parseQuantity((await request.formData()).get('quantity')) ?? 1;
    const cart = add(locals.cart, sku, quantity);
    if (cart === locals.cart) return fail(409, { full: true });
    writeCart(cookies, cart);
    redirect(303, `/products/${sku}?added=${quantity}`);
  },
};
