import { describe, expect, it } from 'vitest';

import { isNoteworthy, secondsAtMost, secondsLeft } from '../src/lib/server/session-lifetime';

const [MINUTE, HOUR, DAY] = [60, 60 * 60, 24 * 60 * 60];
const begun = (activeAt: number) => ({ begunAt: 0, activeAt });

describe('a session', () => {
  it('of staff ends after half an hour without activity', () => {
    expect(secondsLeft(begun(0), ['shopper', 'support'], 29 * MINUTE)).toBe(MINUTE);
    expect(secondsLeft(begun(0), ['shopper', 'support'], 30 * MINUTE)).toBe(0);
    expect(secondsLeft(begun(20 * MINUTE), ['operator'], 40 * MINUTE)).toBe(10 * MINUTE);
  });

  it('of staff ends after twelve hours, however active', () => {
    const times = begun(12 * HOUR - 1);
    expect(secondsLeft(times, ['administrator'], 12 * HOUR - 1)).toBe(1);
    expect(secondsLeft(times, ['administrator'], 12 * HOUR)).toBe(0);
    expect(secondsAtMost(begun(0), ['administrator'], 11 * HOUR)).toBe(HOUR);
    expect(secondsAtMost(begun(0), ['administrator'], 13 * HOUR)).toBe(0);
  });

  it('of a shopper lasts thirty days', () => {
    expect(secondsLeft(begun(0), ['shopper'], 29 * DAY)).toBe(DAY);
    expect(secondsLeft(begun(0), [], 30 * DAY)).toBe(0);
  });

  it('is not rewritten for each page', () => {
    expect(isNoteworthy(begun(0), 59)).toBe(false);
    expect(isNoteworthy(begun(0), 60)).toBe(true);
  });
});
