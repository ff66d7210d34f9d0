/** The refund's form: how much there is to give back, what was asked for, and what is wrong with it. */
import { parseAmount } from '$lib/amount';
import { type ReasonError, checkReason, tidyReason } from '$lib/reason';
import type { Order } from '$lib/server/api';

import { blocksRefunds } from './dispute';

export type RefundValues = { amount: string; reason: string };
export type RefundErrors = { amount?: 'wrong' | 'tooMuch'; reason?: ReasonError };

export type RefundForm = {
  /** Nothing is all that is left. */
  cents: number | undefined;
  values: RefundValues;
  errors: RefundErrors;
};

const TAKEN = ['captured', 'partially_refunded', 'refunded'];

/**
 * What is left of what was taken, in cents. A refund that failed took nothing of it; what is disputed
 * is the bank's to give back.
 */
export function refundable(
  order: Pick<Order, 'payment' | 'total_cents' | 'refunds' | 'for_staff'>,
): number {
  if (!TAKEN.includes(order.payment)) return 0;
  const promised = order.refunds.filter(({ status }) => status !== 'failed');
  const disputed = order.for_staff?.disputes.filter(blocksRefunds) ?? [];
  const taken = [
    ...promised.map(({ amount_cents }) => amount_cents),
    ...disputed.map(({ cents }) => cents),
  ];
  return Math.max(
    0,
    taken.reduce((left, cents) => left - cents, order.total_cents),
  );
}

export function readRefund(form: FormData, currency: string): RefundForm {
  const amount = form.get('amount');
  const values = {
    amount: typeof amount === 'string' ? amount.trim().slice(0, 20) : '',
    reason: tidyReason(form.get('reason')),
  };
  const cents = values.amount === '' ? undefined : parseAmount(values.amount, currency);
  const wrongReason = checkReason(values.reason);
  const errors: RefundErrors = {
    ...(values.amount !== '' && cents === undefined && { amount: 'wrong' as const }),
    ...(wrongReason && { reason: wrongReason }),
  };
  return { cents, values, errors };
}
