import { expect, it } from 'vitest';

import { dayAfter, startOfDay } from '../src/lib/day';

it.each([
  ['2026-01-15', '2026-01-14T23:00:00.000Z'],
  ['2026-07-15', '2026-07-14T22:00:00.000Z'],
  // The days on which the clocks change.
  ['2026-03-29', '2026-03-28T23:00:00.000Z'],
  ['2026-03-30', '2026-03-29T22:00:00.000Z'],
  ['2026-10-25', '2026-10-24T22:00:00.000Z'],
  ['2026-10-26', '2026-10-25T23:00:00.000Z'],
])('%s begins at %s', (day, start) => {
  expect(startOfDay(day)?.toISOString()).toBe(start);
});

it.each(['', '2026-02-30', '2026-13-01', '15/01/2026', '2026-1-5'])('%s is not a day', (text) => {
  expect(startOfDay(text)).toBeUndefined();
});

it('the next day may be in another month or year', () => {
  expect(dayAfter('2026-12-31')).toBe('2027-01-01');
  expect(dayAfter('2028-02-28')).toBe('2028-02-29');
});
