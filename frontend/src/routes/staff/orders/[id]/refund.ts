/** The refund's form: how much there is to give back, what was asked for, and what is wrong with it. */
import { type ReasonError, checkReason, tidyReason } from '$lib/reason';
import type { Order } from '$lib/server/api';

export type RefundValues = { amount: string; reason: string };
export type RefundErrors = { amount?: 'wrong' | 'tooMuch'; reason?: ReasonError };

export type RefundForm = {
  /** Nothing is all that is left. */
  cents: number | undefined;
  values: RefundValues;
  errors: RefundErrors;
};

const TAKEN = ['captured', 'partially_refunded', 'refunded'];

/** What is left of what was taken, in cents. A refund that failed took nothing of it. */
export function refundable(order: Pick<Order, 'payment' | 'total_cents' | 'refunds'>): number {
  if (!TAKEN.includes(order.payment)) return 0;
  const promised = order.refunds.filter(({ status }) => status !== 'failed');
  return promised.reduce((left, { amount_cents }) => left - amount_cents, order.total_cents);
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

/** An amount above zero as people write it, with a point or a comma, in the currency's minor unit. */
export function parseAmount(text: string, currency: string): number | undefined {
  if (!/^[A-Z]{3}$/.test(currency)) return undefined;
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  const [, whole, part = ''] = /^(\d{1,9})(?:[.,](\d{1,3}))?$/.exec(text) ?? [];
  if (whole === undefined || part.length > digits) return undefined;
  const cents = Number(whole + part.padEnd(digits, '0'));
  return cents > 0 ? cents : undefined;
}
