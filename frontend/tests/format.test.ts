import { expect, it } from 'vitest';

import { duration, money, moment } from '../src/lib/format';

/** Intl separates with spaces that do not break. */
const plain = (text: string) => text.replace(/\s/g, ' ');

it('writes prices as each language does', () => {
  expect(plain(money(123_456, 'EUR', 'en'))).toBe('€1,234.56');
  expect(plain(money(1_234_567, 'EUR', 'es'))).toBe('12.345,67 €');
  expect(plain(money(5, 'EUR', 'en'))).toBe('€0.05');
});

it('writes times in the time zone of the shop, whatever that of the server is', () => {
  expect(plain(moment('2026-01-15T23:30:00Z', 'en'))).toBe('16 Jan 2026, 00:30');
});

it('writes a duration in the largest unit of which it has at least one', () => {
  expect(plain(duration(0, 'es'))).toBe('0 s');
  expect(plain(duration(59_999, 'es'))).toBe('59 s');
  expect(plain(duration(60_000, 'es'))).toBe('1 min');
  expect(plain(duration(90 * 60_000, 'en'))).toBe('1 hr');
  expect(plain(duration(49 * 60 * 60_000, 'es'))).toBe('2 d');
});
