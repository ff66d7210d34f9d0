import { describe, expect, it } from 'vitest';

import { en } from '../src/lib/i18n/staff/en';
import type { Dispute, StaffView } from '../src/lib/server/api';
import { problem } from '../src/lib/server/problem';
import { refusalOf } from '../src/lib/staff';
import { refundedCents, paidAt } from '../src/lib/order-progress';
import { detailsOf } from '../src/routes/staff/orders/[id=uuid]/details';
import { readRefund, refundable } from '../src/routes/staff/orders/[id=uuid]/refund';

function form(fields: Record<string, string>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  return data;
}

describe('the refund form', () => {
  it('requests a part, or all that is left', () => {
    expect(readRefund(form({ amount: ' 3,20 ', reason: 'broken cup' }), 'EUR')).toMatchObject({
      cents: 320,
      errors: {},
    });
    expect(readRefund(form({ amount: '', reason: 'broken cup' }), 'EUR')).toMatchObject({
      cents: undefined,
      errors: {},
    });
  });

  it('shows the faults, and keeps the typed values', () => {
    const { errors, values } = readRefund(form({ amount: 'much', reason: ' ' }), 'EUR');
    expect(errors).toEqual({ amount: 'wrong', reason: 'required' });
    expect(values).toEqual({ amount: 'much', reason: '' });
  });

  it.each(['1.250', '1,250'])('refuses an ambiguous amount: %s', (amount) => {
    expect(readRefund(form({ amount, reason: 'broken cup' }), 'KWD')).toMatchObject({
      cents: undefined,
      errors: { amount: 'wrong' },
    });
  });
});

describe('the amount that is left to refund', () => {
  const refund = (amount_cents: number, status: 'pending' | 'succeeded' | 'failed') => ({
    id: `${amount_cents} ${status}`,
    amount_cents,
    status,
  });
  const refunds = [refund(100, 'pending'), refund(200, 'succeeded'), refund(400, 'failed')];

  it('is the captured amount without requested refunds', () => {
    expect(refundable({ payment: 'partially_refunded', total_cents: 1000, refunds })).toBe(700);
    expect(refundable({ payment: 'captured', total_cents: 1000, refunds: [] })).toBe(1000);
    expect(refundable({ payment: 'authorized', total_cents: 1000, refunds: [] })).toBe(0);
  });

  it('excludes a disputed amount while the dispute is open or lost', () => {
    const order = (status: Dispute['status']) => ({
      payment: 'captured' as const,
      total_cents: 1000,
      refunds: [],
      for_staff: { disputes: [{ cents: 600, status }] } as unknown as StaffView,
    });
    for (const status of ['needs_response', 'under_review', 'lost', 'other'] as const) {
      expect(refundable(order(status))).toBe(400);
    }
    for (const status of ['won', 'warning_needs_response', 'warning_closed'] as const) {
      expect(refundable(order(status))).toBe(1000);
    }
  });

  it('counts a refund as made only after it has succeeded', () => {
    expect(refundedCents(refunds)).toBe(200);
  });
});

it('shows when an order was paid', () => {
  const at = '2026-01-01T12:00:00Z';
  expect(paidAt([{ at, kind: 'accepted', data: {} }])).toBeUndefined();
  expect(paidAt([{ at, kind: 'payment_captured', data: {} }])).toBe(at);
});

it('shows the details of an event', () => {
  const at = '2026-01-01T12:00:00Z';
  const refund = { cents: 1250, reason: 'broken cup', refund_id: 'r-1' };
  expect(detailsOf({ at, kind: 'refund_requested', data: refund }, 'EUR', 'en', en)).toEqual([
    { name: 'Amount', text: '€12.50' },
    { name: 'Reason', text: 'broken cup' },
    { name: 'Refund', text: 'r-1' },
  ]);
  const label = { label_id: 'se-1', tracking_number: '1Z' };
  expect(detailsOf({ at, kind: 'label_bought', data: label }, 'EUR', 'en', en)).toEqual([
    { name: 'Label', text: 'se-1' },
    { name: 'Tracking number', text: '1Z' },
  ]);
  const by = { by: 'deadline' as const };
  expect(detailsOf({ at, kind: 'cancelled', data: by }, 'EUR', 'en', en)).toEqual([
    { name: 'By', text: 'the deadline' },
  ]);
});

it.each([
  'own-order',
  'own-refund-request',
  'refund-approval-closed',
  'refund-over-day-limit',
  'refund-over-limit',
])('has words of the shop for %s', (slug) => {
  const { kind } = problem(403, { type: `https://cauce.example/problems/${slug}` });
  expect(refusalOf(kind)).toBe(slug);
});

it('shows until when evidence for a dispute is due', () => {
  const at = '2026-01-01T12:00:00Z';
  const dispute = {
    id: 'du_1',
    cents: 1250,
    reason: 'fraudulent',
    status: 'needs_response' as const,
    evidence_due_by: '2026-01-10T12:00:00Z',
    funds: 'withdrawn' as const,
  };
  const details = detailsOf({ at, kind: 'disputed', data: dispute }, 'EUR', 'en', en);
  expect(details).toContainEqual({ name: 'Status', text: 'Chargeback: evidence is due' });
  expect(details.find(({ name }) => name === 'Evidence due by')?.text).toContain('2026');
});
