/** A cart: SKUs and quantities. Its cookie holds nothing else; prices come from the API. */
import { isSku } from './ids';

export type CartLine = { sku: string; quantity: number };
export type Cart = readonly CartLine[];

/** As many lines as fit into one cookie of 4096 bytes with the longest SKUs. */
export const MAX_LINES = 50;
export const MAX_QUANTITY = 99;

/** The longest text that `formatCart` writes. A longer one was not written by it. */
const MAX_LENGTH = MAX_LINES * 44;

const LINE = /^([^:]*):([1-9][0-9]?)$/;

/** Reads `SKU:2.SKU:1`. Invalid parts are dropped: a cookie can hold anything. */
export function parseCart(text: string | undefined): Cart {
  if (!text || text.length > MAX_LENGTH) return [];
  let cart: Cart = [];
  for (const part of text.split('.')) {
    const [, sku, quantity] = LINE.exec(part) ?? [];
    if (isSku(sku) && quantity) cart = add(cart, sku, Number(quantity));
  }
  return cart;
}

export function formatCart(cart: Cart): string {
  return cart.map(({ sku, quantity }) => `${sku}:${quantity}`).join('.');
}

/** Adds to the quantity of a SKU. A full cart stays as it is. */
export function add(cart: Cart, sku: string, quantity: number): Cart {
  const present = cart.find((line) => line.sku === sku);
  if (present) return change(cart, sku, present.quantity + quantity);
  if (cart.length >= MAX_LINES) return cart;
  return [...cart, { sku, quantity: Math.min(quantity, MAX_QUANTITY) }];
}

/** Sets the quantity of a SKU that is in the cart. */
export function change(cart: Cart, sku: string, quantity: number): Cart {
  const bounded = Math.min(quantity, MAX_QUANTITY);
  return cart.map((line) => (line.sku === sku ? { sku, quantity: bounded } : line));
}

/** The cart without the lines of a placed order. */
export function subtract(cart: Cart, lines: Cart): Cart {
  return cart
    .map((line) => {
      const ordered = lines.find(({ sku }) => sku === line.sku)?.quantity ?? 0;
      return { sku: line.sku, quantity: line.quantity - ordered };
    })
    .filter(({ quantity }) => quantity > 0);
}

export function without(cart: Cart, skus: readonly string[]): Cart {
  return cart.filter((line) => !skus.includes(line.sku));
}

export function count(cart: Cart): number {
  return cart.reduce((sum, line) => sum + line.quantity, 0);
}

/** A quantity from a form, from 1 to the maximum of a line. */
export function parseQuantity(value: unknown): number | undefined {
  const quantity = typeof value === 'string' && /^\d{1,3}$/.test(value) ? Number(value) : 0;
  return quantity >= 1 && quantity <= MAX_QUANTITY ? quantity : undefined;
}

/** A SKU from a form. */
export function parseSku(value: unknown): string | undefined {
  return isSku(value) ? value : undefined;
}
