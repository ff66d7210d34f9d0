import { describe, expect, it } from 'vitest';

import { BLANK, check, fieldOf, lineOf, placement, read } from '../src/routes/checkout/placement';

const address = { name: 'Ana', line1: 'Calle Mayor 1', postal_code: '28013', city: 'Madrid' };

function form(fields: Record<string, string>): FormData {
  const data = new FormData();
  const all = {
    key: 'k-1',
    cart: 'TEA-1:2',
    total: '900',
    currency: 'EUR',
    country: 'ES',
    card: 'pm_card_visa',
  };
  for (const [name, value] of Object.entries({ ...all, ...address, ...fields })) {
    data.set(name, value);
  }
  return data;
}

describe('the checkout form', () => {
  it('is turned into an order', () => {
    const request = read(form({ city: '  Madrid\t', line2: '' }));
    expect(check(request.values)).toEqual({});
    expect(request).toMatchObject({ key: 'k-1', totalCents: 900, currency: 'EUR' });
    expect(placement(request)).toEqual({
      currency: 'EUR',
      lines: [{ sku: 'TEA-1', quantity: 2 }],
      shipping_address: { ...address, country: 'ES' },
      payment_method: 'pm_card_visa',
    });
  });

  it('shows the fault of each field', () => {
    const { values } = read(
      form({ name: ' ', city: 'x'.repeat(101), country: 'XX', card: 'pm_card_other' }),
    );
    expect(check(values)).toEqual({
      name: 'required',
      city: 'tooLong',
      country: 'country',
      card: 'card',
    });
  });

  it('counts characters as the API does', () => {
    expect(check({ ...BLANK, ...address, name: '🍵'.repeat(100) })).toEqual({});
  });

  it('accepts no idempotency key that the API refuses', () => {
    expect(read(form({ key: 'a b' })).key).toBeUndefined();
  });
});

it('finds the field that the API names', () => {
  expect(fieldOf('shipping_address.city')).toBe('city');
  expect(fieldOf('payment_method')).toBe('card');
  expect(fieldOf('shipping_address.__proto__')).toBeUndefined();
  expect(fieldOf('lines[2].sku')).toBeUndefined();
  expect(lineOf('lines[2].sku')).toBe(2);
  expect(lineOf(undefined)).toBeUndefined();
});
