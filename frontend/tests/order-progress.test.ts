import { describe, expect, it } from 'vitest';

import {
  canBeCancelled,
  explanation,
  headline,
  isFinal,
  steps,
  tone,
} from '../src/lib/order-progress';

const accepted = {
  status: 'pending',
  payment: 'not_paid',
  fulfilment: 'unfulfilled',
  wait: null,
  tracking_number: null,
} as const;
const authorized = { ...accepted, status: 'confirmed', payment: 'authorized' } as const;
const labelled = { ...authorized, fulfilment: 'in_progress', tracking_number: '1Z' } as const;
const shipped = {
  ...labelled,
  status: 'completed',
  payment: 'captured',
  fulfilment: 'shipped',
} as const;
const declined = {
  ...accepted,
  status: 'cancelled',
  payment: 'failed',
  fulfilment: 'cancelled',
} as const;

const wait = {
  provider: 'payments',
  reason: 'no answer',
  since: '2026-01-01T00:00:00Z',
  attempts: 3,
  next_attempt: '2026-01-01T00:01:00Z',
  deadline: '2026-01-08T00:00:00Z',
} as const;

const states = (order: Parameters<typeof steps>[0]) => steps(order).map(({ state }) => state);

describe('the steps of an order', () => {
  it('go forward one by one', () => {
    expect(states(accepted)).toEqual(['done', 'current', 'ahead', 'ahead']);
    expect(states(authorized)).toEqual(['done', 'done', 'current', 'ahead']);
    expect(states(labelled)).toEqual(['done', 'done', 'done', 'current']);
    expect(states(shipped)).toEqual(['done', 'done', 'done', 'done']);
  });

  it('end where the order was stopped', () => {
    expect(states(declined)).toEqual(['done', 'failed', 'ahead', 'ahead']);
  });
});

describe('an order', () => {
  it('is followed until its money is settled too', () => {
    expect(isFinal(shipped)).toBe(true);
    expect(isFinal(declined)).toBe(true);
    expect(isFinal({ ...declined, payment: 'authorized' })).toBe(false);
    expect(isFinal({ ...declined, payment: 'voided' })).toBe(true);
    expect(isFinal(accepted)).toBe(false);
  });

  it('can be cancelled until there is a label', () => {
    expect(canBeCancelled(accepted)).toBe(true);
    expect(canBeCancelled(authorized)).toBe(true);
    expect(canBeCancelled(labelled)).toBe(false);
    expect(canBeCancelled(declined)).toBe(false);
  });

  it('is shown as waiting while a provider is unavailable', () => {
    expect(headline({ ...accepted, wait })).toBe('waiting');
    expect(headline(declined)).toBe('declined');
    expect(headline(accepted)).toBe('pending');
  });

  it('does not wait for its shopper after it is cancelled', () => {
    const cancelled = { ...declined, payment: 'unknown', wait } as const;
    expect(headline(cancelled)).toBe('cancelled');
    expect(tone(cancelled)).toBe('bad');
    expect(isFinal(cancelled)).toBe(false);
  });

  it('shows who or what cancelled it', () => {
    const at = '2026-01-01T00:00:00Z';
    const by = (by: 'shopper' | 'payments' | 'shipping' | 'deadline') =>
      explanation(declined, [
        { at, kind: 'cancelled', data: { by } },
        { at, kind: 'payment_voided', data: {} },
      ]);
    expect(by('shopper')).toBe('cancelledByShopper');
    expect(by('payments')).toBe('cancelledByPayments');
    expect(by('shipping')).toBe('cancelledByShipping');
    expect(by('deadline')).toBe('cancelledByDeadline');
    expect(explanation(declined, [])).toBe('cancelled');
  });

  it('shows the final state of its parcel and its payment', () => {
    const delivered = { ...shipped, fulfilment: 'delivered' } as const;
    const partly = { ...delivered, payment: 'partially_refunded' } as const;
    const refunded = { ...shipped, payment: 'refunded' } as const;
    const told = [shipped, delivered, partly, refunded].map((order) => [
      headline(order),
      explanation(order, []),
    ]);
    expect(told).toEqual([
      ['shipped', 'shipped'],
      ['delivered', 'delivered'],
      ['delivered', 'partiallyRefunded'],
      ['refunded', 'refunded'],
    ]);
    expect(states(refunded)).toEqual(['done', 'done', 'done', 'done']);
  });
});
