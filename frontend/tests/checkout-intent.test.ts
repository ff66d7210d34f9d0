import { describe, expect, it } from 'vitest';

import {
  type Buyer,
  type Intent,
  attempted,
  begin,
  fate,
  finished,
  isReady,
  refused,
  seen,
  settled,
} from '../src/lib/server/checkout-intent';

const HOUR = 3_600_000;
const ANA: Buyer = { kind: 'guest', email: 'ana@example.com' };
const EVA: Buyer = { kind: 'guest', email: 'eva@example.com' };
const ACCOUNT: Buyer = { kind: 'account', id: 'a-person' };

function attemptOf(intent: Intent) {
  if (!intent.attempt) throw new Error('no attempt is on record');
  return intent.attempt;
}

describe('an intent', () => {
  it('keeps its key for all attempts until its order is shown', () => {
    let intent = begin('one');
    for (const now of [1, 2]) intent = refused(attempted(intent, ANA, now));
    expect(settled(intent).key).toBe('one');
    const order = { kind: 'account', id: 'x' } as const;
    const next = finished(intent, order, ANA, 'two');
    expect(next).toEqual({ key: 'two', last: { key: 'one', order, unseenBy: ANA } });
    expect(seen(next, { kind: 'account', id: 'y' })).toEqual(next);
    expect(seen(next, order)).toEqual({ key: 'two', last: { key: 'one', order } });
  });

  it('allows an order only after its attempt is recorded', () => {
    const intent = begin('one');
    expect(isReady(intent, ANA, 0)).toBe(false);
    expect(isReady(attempted(intent, ANA, 0), ANA, 0)).toBe(true);
  });

  it('allows no other buyer while an attempt is open', () => {
    const open = attempted(begin('one'), ANA, 0);
    for (const other of [EVA, ACCOUNT]) {
      expect(isReady(attempted(open, other, 1), other, 1)).toBe(false);
    }
    expect(isReady(open, { kind: 'guest', email: 'ANA@example.com' }, 1)).toBe(true);
  });

  it('ends with a refusal, unless an earlier attempt is open', () => {
    const once = attempted(begin('one'), ANA, 0);
    expect(refused(once).attempt).toBeUndefined();
    expect(refused(attempted(once, ANA, 5)).attempt).toEqual({ by: ANA, firstAt: 0, lastAt: 5 });
  });
});

describe('an attempt without an answer', () => {
  const attempt = attemptOf(attempted(attempted(begin('one'), ANA, 0), ANA, HOUR));

  it('was accepted if its order exists, however old it is', () => {
    expect(fate(attempt, 'order', 48 * HOUR)).toEqual({ kind: 'placed', order: 'order' });
  });

  it('is pending while its request may still be in progress', () => {
    expect(fate(attempt, undefined, HOUR + 59_000).kind).toBe('pending');
    expect(fate(attempt, undefined, HOUR + 60_000).kind).toBe('not-placed');
  });

  it('is forgotten when the API may have deleted the key of the first try', () => {
    expect(fate(attempt, undefined, 23 * HOUR).kind).toBe('not-placed');
    expect(fate(attempt, undefined, 23 * HOUR + 1).kind).toBe('forgotten');
    expect(isReady({ key: 'one', attempt }, ANA, 23 * HOUR + 1)).toBe(false);
  });
});
