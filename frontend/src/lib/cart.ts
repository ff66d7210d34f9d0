/** A cart: what is wanted and how many. It is all that its cookie holds; prices come from the API. */
import { isSku } from './ids';

export type CartLine = { sku: string; quantity: number };
export type Cart = readonly CartLine[];

/** As many as keep the longest SKUs inside one cookie of 4096 bytes. */
export const MAX_LINES = 50;
export const MAX_QUANTITY = 99;

/** The longest that `formatCart` writes. A longer text is none of its own. */
const MAX_LENGTH = MAX_LINES * 44;

const LINE = /^([^:]*):([1-9][0-9]?)$/;

/** Reads `SKU:2.SKU:1`. A part that is not a line is dropped: a cookie can hold anything. */
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

/** Adds to what is already wanted of a SKU. A cart that is full stays as it is. */
export function add(cart: Cart, sku: string, quantity: number): Cart {
  const present = cart.find((line) => line.sku === sku);
  if (present) return change(cart, sku, present.quantity + quantity);
  if (cart.length >= MAX_LINES) return cart;
  return [...cart, { sku, quantity: Math.min(quantity, MAX_QUANTITY) }];
}

/** Sets how many are wanted of a SKU that is in the cart. */
export function change(cart: Cart, sku: string, quantity: number): Cart {
  const bounded = Math.min(quantity, MAX_QUANTITY);
  return cart.map((line) => (line.sku === sku ? { sku, quantity: bounded } : line));
}

/** What is left when an order of these lines is placed. */
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

/** A quantity out of a form, from 1 to the most that one line takes. */
export function parseQuantity(value: unknown): number | undefined {
  const quantity = typeof value === 'string' && /^\d{1,3}$/.test(value) ? Number(value) : 0;
  return quantity >= 1 && quantity <= MAX_QUANTITY ? quantity : undefined;
}

/** A SKU out of a form. */
export function parseSku(value: unknown): string | undefined {
  return isSku(value) ? value : undefined;
}
