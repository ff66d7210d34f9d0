/** A cart with the current titles, prices and stock from the API. */
import { isChargeable } from '$lib/amount';
import type { Cart } from '$lib/cart';

import { type Api, type Product, type Result, outcome } from './api';

export type CartViewLine = {
  sku: string;
  quantity: number;
  /** Absent when the product is no longer sold. */
  product: Product | undefined;
  /** Whether the shop can charge its price. */
  sellable: boolean;
  /** Whether its currency is not the cart's: an order has one currency. */
  isOtherCurrency: boolean;
  orderable: boolean;
};

export type CartView = {
  lines: CartViewLine[];
  /** The first product's. */
  currency: string;
  /** The sum of the lines in that currency. */
  totalCents: number;
  /** Whether every line can be ordered. */
  orderable: boolean;
};

/** Makes one request for all products of the cart, and none for an empty cart. */
export async function viewCart(api: Api, cart: Cart): Promise<Result<CartView>> {
  if (cart.length === 0) return { ok: true, value: viewOf([], new Map()) };
  const query = { sku: cart.map(({ sku }) => sku) };
  const found = await outcome(api.GET('/v1/products', { params: { query } }));
  if (!found.ok) return found;
  const products = new Map(found.value.items.map((product) => [product.sku, product]));
  return { ok: true, value: viewOf(cart, products) };
}

function viewOf(cart: Cart, products: Map<string, Product>): CartView {
  const first = cart.map(({ sku }) => products.get(sku)).find((product) => product !== undefined);
  const currency = first?.price.currency ?? 'EUR';
  const lines = cart.map((line) => viewLine(line, products.get(line.sku), currency));
  const payable = lines.filter(({ isOtherCurrency }) => !isOtherCurrency);
  return {
    lines,
    currency,
    totalCents: payable.reduce(
      (sum, { product, quantity }) => sum + (product?.price.cents ?? 0) * quantity,
      0,
    ),
    orderable: lines.length > 0 && lines.every(({ orderable }) => orderable),
  };
}

function viewLine(
  line: Cart[number],
  product: Product | undefined,
  currency: string,
): CartViewLine {
  const sellable = product !== undefined && isChargeable(product.price);
  const isOtherCurrency = product !== undefined && product.price.currency !== currency;
  const orderable = sellable && !isOtherCurrency && product.stock >= line.quantity;
  return { ...line, product, sellable, isOtherCurrency, orderable };
}
