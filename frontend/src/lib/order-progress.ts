/** What an order's three statuses mean to the shopper. Pure rules, no texts. */
import type { Order, TimelineEntry, OrderSummary } from './server/api';
import type { Tone } from './tone';

export type StepName = 'accepted' | 'paid' | 'label' | 'shipped';
export type StepState = 'done' | 'current' | 'failed' | 'ahead';
export type Step = { name: StepName; state: StepState };

type Axes = Pick<OrderSummary, 'status' | 'payment' | 'fulfilment' | 'wait' | 'tracking_number'>;

const STEPS = ['accepted', 'paid', 'label', 'shipped'] as const;
const SECURED = ['authorized', 'captured', 'partially_refunded', 'refunded', 'voided'];

/**
 * The first step that is not done is the current one, or the one where a cancelled order stopped.
 */
export function steps(order: Axes): Step[] {
  const left = order.fulfilment === 'shipped' || order.fulfilment === 'delivered';
  const done: Record<StepName, boolean> = {
    accepted: true,
    paid: SECURED.includes(order.payment),
    label: left || Boolean(order.tracking_number),
    shipped: left,
  };
  const next = STEPS.find((name) => !done[name]);
  return STEPS.map((name) => {
    if (done[name]) return { name, state: 'done' };
    if (name !== next) return { name, state: 'ahead' };
    return { name, state: order.status === 'cancelled' ? 'failed' : 'current' };
  });
}

/**
 * Whether nothing more happens automatically: it was shipped, or it was cancelled and nothing is
 * held or owed.
 */
export function isFinal(order: Axes): boolean {
  if (order.status === 'completed') return true;
  const owing = ['authorized', 'requires_action', 'unknown'].includes(order.payment);
  return order.status === 'cancelled' && !owing;
}

/** Once there is a label, the parcel may be on its way. */
export function canBeCancelled(order: Axes): boolean {
  const open = order.status === 'pending' || order.status === 'confirmed';
  return open && !order.tracking_number && order.payment !== 'captured';
}

export type Headline =
  | 'pending'
  | 'confirmed'
  | 'shipped'
  | 'delivered'
  | 'refunded'
  | 'waiting'
  | 'cancelled'
  | 'declined';

/**
 * A cancelled order may still be waiting for a provider to void something; its shopper need not
 * know.
 */
export function headline(order: Axes): Headline {
  if (order.status === 'cancelled') return order.payment === 'failed' ? 'declined' : 'cancelled';
  if (order.payment === 'refunded') return 'refunded';
  if (order.status === 'completed') return arrival(order);
  return order.wait ? 'waiting' : order.status;
}

function arrival(order: Axes): 'shipped' | 'delivered' {
  return order.fulfilment === 'delivered' ? 'delivered' : 'shipped';
}

export function tone(order: Axes): Tone {
  if (order.status === 'cancelled') return 'bad';
  if (order.status === 'completed') return 'good';
  return order.wait ? 'wait' : 'quiet';
}

export type Explanation =
  | 'pending'
  | 'confirmed'
  | 'shipped'
  | 'delivered'
  | 'refunded'
  | 'partiallyRefunded'
  | 'cancelled'
  | 'cancelledByShopper'
  | 'cancelledByStaff'
  | 'cancelledByPayments'
  | 'cancelledByShipping'
  | 'cancelledByDeadline';

const CANCELLED_BY = {
  shopper: 'cancelledByShopper',
  staff: 'cancelledByStaff',
  payments: 'cancelledByPayments',
  shipping: 'cancelledByShipping',
  deadline: 'cancelledByDeadline',
} as const;

export function explanation(order: Axes, events: readonly TimelineEntry[]): Explanation {
  if (order.payment === 'refunded') return 'refunded';
  if (order.payment === 'partially_refunded') return 'partiallyRefunded';
  if (order.status === 'completed') return arrival(order);
  if (order.status !== 'cancelled') return order.status;
  const end = events.findLast((event) => event.kind === 'cancelled');
  return end?.kind === 'cancelled' ? CANCELLED_BY[end.data.by] : 'cancelled';
}

/** When the payment was captured, if it was. */
export function paidAt(events: readonly TimelineEntry[]): string | undefined {
  return events.find(({ kind }) => kind === 'payment_captured')?.at;
}

/** The sum of the successful refunds, in cents. */
export function refundedCents(refunds: Order['refunds']): number {
  const done = refunds.filter(({ status }) => status === 'succeeded');
  return done.reduce((sum, { amount_cents }) => sum + amount_cents, 0);
}
