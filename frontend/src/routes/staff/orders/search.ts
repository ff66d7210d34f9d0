/** The search of the orders: its fields, their errors, and the API's parameters. */
import { dayAfter, startOfDay } from '$lib/day';
import { isUuid } from '$lib/ids';
import type { OrderSummary } from '$lib/server/api';

export const STATUSES = ['pending', 'confirmed', 'completed', 'cancelled'] as const;
export const PAYMENTS = [
  'not_paid',
  'requires_action',
  'authorized',
  'captured',
  'partially_refunded',
  'refunded',
  'voided',
  'failed',
  'unknown',
] as const;
export const FULFILMENTS = [
  'unfulfilled',
  'in_progress',
  'shipped',
  'delivered',
  'cancelled',
] as const;

/** The form's fields; empty where there is no criterion. */
export type Search = {
  /** An id, a number or an e-mail. */
  q: string;
  status: string;
  payment: string;
  fulfilment: string;
  from: string;
  to: string;
};

export type SearchErrors = { q?: true; from?: true; to?: true };

/** The search as the API's parameters. */
export type Query = {
  /** An id or a number. */
  order?: string;
  email?: string;
  status?: OrderSummary['status'];
  payment?: OrderSummary['payment'];
  fulfilment?: OrderSummary['fulfilment'];
  placed_from?: string;
  placed_to?: string;
};

/** People may write it in lower case, or without hyphens. */
const NUMBER = /^[0-9a-z]{4}[- ]?[0-9a-z]{4}[- ]?[0-9a-z]{2}$/i;
const EMAIL = /^[^\s@]+@[^\s@]+$/;
/** In characters: the longest search term is an e-mail address. */
const MAX = 254;

export function readSearch(form: URLSearchParams): Search {
  const text = (name: string) => (form.get(name) ?? '').trim().slice(0, MAX);
  return {
    q: text('q'),
    status: text('status'),
    payment: text('payment'),
    fulfilment: text('fulfilment'),
    from: text('from'),
    to: text('to'),
  };
}

/** The form field for one of the API's parameters. */
export function fieldOf(parameter: string | undefined): keyof SearchErrors {
  if (parameter === 'placed_from') return 'from';
  return parameter === 'placed_to' ? 'to' : 'q';
}

export function toQuery(search: Search): { query: Query; errors: SearchErrors } {
  const { q, from, to } = search;
  const status = STATUSES.find((it) => it === search.status);
  const payment = PAYMENTS.find((it) => it === search.payment);
  const fulfilment = FULFILMENTS.find((it) => it === search.fulfilment);
  const first = startOfDay(from);
  // The last day is included.
  const end = startOfDay(to) && startOfDay(dayAfter(to));
  const named = nameOf(q);
  return {
    query: {
      ...named,
      ...(status && { status }),
      ...(payment && { payment }),
      ...(fulfilment && { fulfilment }),
      ...(first && { placed_from: first.toISOString() }),
      ...(end && { placed_to: end.toISOString() }),
    },
    errors: {
      ...(q && !named && { q: true as const }),
      ...(from && !first && { from: true as const }),
      ...(to && !end && { to: true as const }),
    },
  };
}

function nameOf(q: string): Pick<Query, 'order' | 'email'> | undefined {
  if (isUuid(q) || NUMBER.test(q)) return { order: q };
  return EMAIL.test(q) ? { email: q } : undefined;
}
