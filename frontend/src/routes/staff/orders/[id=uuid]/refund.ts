/** The refund form: the refundable amount, the values, and their errors. */
import { parseAmount } from '$lib/amount';
import { type ReasonError, checkReason, tidyReason } from '$lib/reason';
import type { Order } from '$lib/server/api';

import { blocksRefunds } from './dispute';

export type RefundValues = { amount: string; reason: string };
export type RefundErrors = { amount?: 'wrong' | 'tooMuch'; reason?: ReasonError };

export type RefundForm = {
  /** Undefined refunds all that is left. */
  cents: number | undefined;
  values: RefundValues;
  errors: RefundErrors;
};

const CAPTURED = ['captured', 'partially_refunded', 'refunded'];

/**
 * How much of the captured amount can still be refunded, in cents. Failed refunds do not count; a
 * disputed amount is left to the bank.
 */
export function refundable(
  order: Pick<Order, 'payment' | 'total_cents' | 'refunds' | 'for_staff'>,
): number {
  if (!CAPTURED.includes(order.payment)) return 0;
  const promised = order.refunds.filter(({ status }) => status !== 'failed');
  const disputed = order.for_staff?.disputes.filter(blocksRefunds) ?? [];
  const spent = [
    ...promised.map(({ amount_cents }) => amount_cents),
    ...disputed.map(({ cents }) => cents),
  ];
  return Math.max(
    0,
    spent.reduce((left, cents) => left - cents, order.total_cents),
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
