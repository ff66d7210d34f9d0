import { expect, it } from 'vitest';

import { money, moment } from '../src/lib/format';

/** Intl separates with spaces that do not break. */
const plain = (text: string) => text.replace(/\s/g, ' ');

it('writes prices as each language does', () => {
  expect(plain(money(123_456, 'EUR', 'en'))).toBe('€1,234.56');
  expect(plain(money(1_234_567, 'EUR', 'es'))).toBe('12.345,67 €');
  expect(plain(money(5, 'EUR', 'en'))).toBe('€0.05');
});

it('knows that not every currency has cents', () => {
  expect(plain(money(1_500, 'JPY', 'en'))).toContain('1,500');
});

it('tells the time of the shop, wherever the server is', () => {
  expect(plain(moment('2026-01-15T23:30:00Z', 'en'))).toBe('16 Jan 2026, 00:30');
});
