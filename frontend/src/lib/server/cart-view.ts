/** A cart with what the API says about it now: titles, prices, stock. */
import type { Cart } from '$lib/cart';

import { type Api, type Product, outcome } from './api';
import type { Problem } from './problem';

export type CartViewLine = {
  sku: string;
  quantity: number;
  /** Absent when the product is no longer sold. */
  product: Product | undefined;
  orderable: boolean;
};

export type CartView = {
  lines: CartViewLine[];
  currency: string;
  totalCents: number;
  /** Whether all of it can be ordered as it is. */
  orderable: boolean;
};

/** How many products are asked for at a time. */
const AT_A_TIME = 10;

export async function viewCart(
  api: Api,
  cart: Cart,
): Promise<{ ok: true; value: CartView } | { ok: false; problem: Problem }> {
  const lines: CartViewLine[] = [];
  for (let from = 0; from < cart.length; from += AT_A_TIME) {
    const some = cart.slice(from, from + AT_A_TIME);
    const products = await Promise.all(
      some.map(({ sku }) => outcome(api.GET('/v1/products/{sku}', { params: { path: { sku } } }))),
    );
    for (const [index, found] of products.entries()) {
      const line = some[index];
      if (!line) continue;
      if (!found.ok && found.problem.kind !== 'not-found') return found;
      const product = found.ok ? found.value : undefined;
      lines.push({ ...line, product, orderable: (product?.stock ?? 0) >= line.quantity });
    }
  }
  return { ok: true, value: total(lines) };
}

function total(lines: CartViewLine[]): CartView {
  return {
    lines,
    currency: lines.find(({ product }) => product)?.product?.price.currency ?? 'EUR',
    totalCents: lines.reduce(
      (sum, { product, quantity }) => sum + (product?.price.cents ?? 0) * quantity,
      0,
    ),
    orderable: lines.length > 0 && lines.every(({ orderable }) => orderable),
  };
}
