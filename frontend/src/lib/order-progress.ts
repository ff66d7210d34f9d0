/** What an order's three axes mean to the person who placed it. Pure rules, no texts. */
import type { Order, OrderEvent, OrderSummary } from './server/api';

export type StepName = 'accepted' | 'paid' | 'label' | 'shipped';
export type StepState = 'done' | 'current' | 'failed' | 'ahead';
export type Step = { name: StepName; state: StepState };

type Axes = Pick<OrderSummary, 'status' | 'payment' | 'fulfilment' | 'hold' | 'tracking_number'>;

const STEPS = ['accepted', 'paid', 'label', 'shipped'] as const;
const SECURED = ['authorized', 'captured', 'partially_refunded', 'refunded', 'voided'];

/** The first step that is not done is the one under way, or the one where a cancelled order ended. */
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

/** Nothing more will happen by itself: it was shipped, or was cancelled and owes nothing. */
export function isFinal(order: Axes): boolean {
  if (order.status === 'completed') return true;
  const owing = ['authorized', 'requires_action', 'unknown'].includes(order.payment);
  return order.status === 'cancelled' && !owing;
}

/** From the moment there is a label, a parcel may be on its way. */
export function canBeCancelled(order: Axes): boolean {
  const open = order.status === 'pending' || order.status === 'confirmed';
  return open && !order.tracking_number && order.payment !== 'captured';
}

export type Headline = 'pending' | 'confirmed' | 'shipped' | 'waiting' | 'cancelled' | 'declined';

export function headline(order: Axes): Headline {
  if (order.status === 'cancelled') return order.payment === 'failed' ? 'declined' : 'cancelled';
  if (order.status === 'completed') return 'shipped';
  return order.hold ? 'waiting' : order.status;
}

export type Tone = 'good' | 'wait' | 'bad' | 'quiet';

export function tone(order: Axes): Tone {
  if (order.status === 'cancelled') return 'bad';
  if (order.status === 'completed') return 'good';
  return order.hold ? 'wait' : 'quiet';
}

export type Explanation =
  | 'pending'
  | 'confirmed'
  | 'shipped'
  | 'cancelled'
  | 'cancelledByShopper'
  | 'cancelledByPayments'
  | 'cancelledByShipping';

export function explanation(order: Order, events: readonly OrderEvent[]): Explanation {
  if (order.status === 'completed') return 'shipped';
  if (order.status !== 'cancelled') return order.status;
  const end = events.findLast((event) => event.kind === 'cancelled');
  if (end?.kind !== 'cancelled') return 'cancelled';
  const by = { shopper: 'Shopper', payments: 'Payments', shipping: 'Shipping' } as const;
  return `cancelledBy${by[end.data.by]}`;
}
