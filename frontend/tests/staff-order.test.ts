import { describe, expect, it } from 'vitest';

import { en } from '../src/lib/i18n/staff/en';
import { givenBack, paidAt } from '../src/lib/order-progress';
import { detailsOf } from '../src/routes/staff/orders/[id]/details';
import { parseAmount } from '../src/lib/amount';
import { readRefund, refundable } from '../src/routes/staff/orders/[id]/refund';

function form(fields: Record<string, string>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  return data;
}

describe('an amount', () => {
  it('is read with a point or a comma, in the minor unit', () => {
    expect(parseAmount('12.50', 'EUR')).toBe(1250);
    expect(parseAmount('12,5', 'EUR')).toBe(1250);
    expect(parseAmount('12', 'EUR')).toBe(1200);
    expect(parseAmount('0.29', 'EUR')).toBe(29);
    expect(parseAmount('500', 'JPY')).toBe(500);
  });

  it.each(['0', '0.00', '-1', '1.234', '1,234.50', '1e3', '12 €', 'all', '9999999999', '½', ''])(
    'is not read from %s',
    (text) => {
      expect(parseAmount(text, 'EUR')).toBeUndefined();
    },
  );

  it('has no cents where the currency has none', () => {
    expect(parseAmount('5.50', 'JPY')).toBeUndefined();
    expect(parseAmount('5', 'no currency')).toBeUndefined();
  });
});

describe('the form that gives money back', () => {
  it('asks for a part, or for all that is left', () => {
    expect(readRefund(form({ amount: ' 3,20 ', reason: 'broken cup' }), 'EUR')).toMatchObject({
      cents: 320,
      errors: {},
    });
    expect(readRefund(form({ amount: '', reason: 'broken cup' }), 'EUR')).toMatchObject({
      cents: undefined,
      errors: {},
    });
  });

  it('is told what is wrong, and keeps what was typed', () => {
    const { errors, values } = readRefund(form({ amount: 'much', reason: ' ' }), 'EUR');
    expect(errors).toEqual({ amount: 'wrong', reason: 'required' });
    expect(values).toEqual({ amount: 'much', reason: '' });
  });
});

describe('what is left to give back', () => {
  const refund = (amount_cents: number, status: 'pending' | 'succeeded' | 'failed') => ({
    id: `${amount_cents} ${status}`,
    amount_cents,
    status,
  });
  const refunds = [refund(100, 'pending'), refund(200, 'succeeded'), refund(400, 'failed')];

  it('is what was taken without what is promised', () => {
    expect(refundable({ payment: 'partially_refunded', total_cents: 1000, refunds })).toBe(700);
    expect(refundable({ payment: 'captured', total_cents: 1000, refunds: [] })).toBe(1000);
    expect(refundable({ payment: 'authorized', total_cents: 1000, refunds: [] })).toBe(0);
  });

  it('counts as given back only once it is', () => {
    expect(givenBack(refunds)).toBe(200);
  });
});

it('knows when an order was paid', () => {
  const at = '2026-01-01T12:00:00Z';
  expect(paidAt([{ at, kind: 'accepted', data: {} }])).toBeUndefined();
  expect(paidAt([{ at, kind: 'payment_captured', data: {} }])).toBe(at);
});

it('tells of an event what staff read in it', () => {
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
