import { describe, expect, it } from 'vitest';

import {
  MAX_LINES,
  MAX_QUANTITY,
  add,
  change,
  count,
  formatCart,
  parseCart,
  parseQuantity,
  subtract,
  without,
} from '../src/lib/cart';

describe('a cart', () => {
  it('is restored from its cookie', () => {
    const cart = add(add([], 'TEA-0001', 2), 'COFFEE-0002', 1);
    expect(parseCart(formatCart(cart))).toEqual(cart);
  });

  it('keeps the valid lines of a cookie that was tampered with', () => {
    const text = 'TEA-1:2.<script>:1.TEA-2:0.TEA-3:-1.TEA-4:1e3.tea-5:1.:3.TEA-6:5';
    expect(parseCart(text)).toEqual([
      { sku: 'TEA-1', quantity: 2 },
      { sku: 'TEA-6', quantity: 5 },
    ]);
    expect(parseCart(undefined)).toEqual([]);
    expect(parseCart('')).toEqual([]);
  });

  it('has one line for a SKU, however often it is added', () => {
    const cart = parseCart('TEA-1:2.TEA-1:3');
    expect(cart).toEqual([{ sku: 'TEA-1', quantity: 5 }]);
    expect(count(cart)).toBe(5);
  });

  it('limits the quantity of a line', () => {
    const cart = add(add([], 'TEA-1', MAX_QUANTITY), 'TEA-1', 1);
    expect(cart[0]?.quantity).toBe(MAX_QUANTITY);
    expect(change(cart, 'TEA-1', MAX_QUANTITY + 1)[0]?.quantity).toBe(MAX_QUANTITY);
  });

  it('does not change when it is full, and then fits into one cookie', () => {
    let cart = parseCart('');
    for (let line = 0; line < MAX_LINES; line += 1) {
      cart = add(cart, `${line}-`.padEnd(40, 'X'), MAX_QUANTITY);
    }
    expect(add(cart, 'TEA-1', 1)).toBe(cart);
    expect(encodeURIComponent(formatCart(cart)).length).toBeLessThan(3_800);
  });

  it('loses the ordered quantities and keeps the rest', () => {
    expect(subtract(parseCart('TEA-1:3.TEA-2:1.TEA-3:1'), parseCart('TEA-1:2.TEA-2:4'))).toEqual(
      parseCart('TEA-1:1.TEA-3:1'),
    );
    expect(without(parseCart('TEA-1:2.TEA-2:1'), ['TEA-1'])).toEqual(parseCart('TEA-2:1'));
  });
});

it.each(['0', '-1', '100', '1.5', '', '1e1', null, '٣'])('%j is not a quantity', (value) => {
  expect(parseQuantity(value)).toBeUndefined();
});
