import { describe, expect, it } from 'vitest';

import type { Api, Product } from '../src/lib/server/api';
import { viewCart } from '../src/lib/server/cart-view';

type Sold = Pick<Product, 'sku' | 'stock' | 'price'>;

/** A cart with two of each product. */
async function cartWith(items: Sold[]) {
  const answer = { data: { items }, response: new Response() };
  const api = { GET: () => Promise.resolve(answer) } as unknown as Api;
  const cart = await viewCart(
    api,
    items.map(({ sku }) => ({ sku, quantity: 2 })),
  );
  if (!cart.ok) throw new Error('there is no cart');
  return cart.value;
}

/** A cart with one product at this price. */
function cartOf(price: Product['price']) {
  return cartWith([{ sku: 'TEA-1', stock: 5, price }]);
}

describe('a cart', () => {
  it('can be ordered at a price that can be charged', async () => {
    const cart = await cartOf({ cents: 1_200, currency: 'ISK' });
    expect(cart).toMatchObject({ orderable: true, totalCents: 2_400, currency: 'ISK' });
  });

  it.each([
    { cents: 1_250, currency: 'RSD' },
    { cents: 1_250, currency: 'ISK' },
  ])('marks what was stored with a price that cannot be charged: %o', async (price) => {
    const cart = await cartOf(price);
    expect(cart).toMatchObject({ orderable: false, lines: [{ sellable: false }] });
  });

  it('adds up one currency, and cannot be ordered with lines in another', async () => {
    const cart = await cartWith([
      { sku: 'TEA-1', stock: 5, price: { cents: 1_000, currency: 'EUR' } },
      { sku: 'CUP-1', stock: 5, price: { cents: 700, currency: 'USD' } },
    ]);
    expect(cart).toMatchObject({ orderable: false, totalCents: 2_000, currency: 'EUR' });
    expect(cart.lines.map(({ orderable }) => orderable)).toEqual([true, false]);
    expect(cart.lines.map(({ isOtherCurrency }) => isOtherCurrency)).toEqual([false, true]);
  });
});
