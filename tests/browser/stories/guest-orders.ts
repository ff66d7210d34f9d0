/** Guests that order the product with the largest stock through the API. */
import { randomInt, randomUUID } from 'node:crypto';

import { stack } from './stack';

type Product = { sku: string; stock: number };

/** Places `count` orders, each from another network. */
export async function placeGuestOrders(count: number): Promise<void> {
  const { sku } = await bestStocked();
  for (let order = 0; order < count; order += 1) await placeGuestOrder(sku);
}

async function bestStocked(): Promise<Product> {
  const response = await fetch(`${stack.api}/v1/products?category=books&limit=100`, {
    headers: { 'cauce-frontend-key': stack.frontend_key },
  });
  const { items } = (await response.json()) as { items: Product[] };
  return items.reduce((best, it) => (it.stock > best.stock ? it : best));
}

async function placeGuestOrder(sku: string): Promise<void> {
  const octets = [198, 18, randomInt(256), randomInt(256)];
  const response = await fetch(`${stack.api}/v1/guest/orders`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': randomUUID(),
      'cauce-frontend-key': stack.frontend_key,
      'cauce-client-address': octets.join('.'),
    },
    body: JSON.stringify({
      email: `${randomUUID()}@guests.cauce.example`,
      currency: 'EUR',
      lines: [{ sku, quantity: 1 }],
      shipping_address: {
        name: 'Ana Ríos',
        line1: 'Calle Mayor 1',
        city: 'Madrid',
        postal_code: '28013',
        country: 'ES',
      },
      payment_method: 'pm_card_visa',
    }),
  });
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
}
