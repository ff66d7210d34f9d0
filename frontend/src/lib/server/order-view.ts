/** An order with its events. */
import { type Api, type Order, type TimelineEntry, type Result, outcome } from './api';

export type OrderWithEvents = { order: Order; events: TimelineEntry[] };

export async function viewOrder(api: Api, id: string): Promise<Result<OrderWithEvents>> {
  const params = { path: { id } };
  const [order, timeline] = await Promise.all([
    outcome(api.GET('/v1/orders/{id}', { params })),
    outcome(api.GET('/v1/orders/{id}/events', { params })),
  ]);
  if (!order.ok) return order;
  if (!timeline.ok) return timeline;
  return { ok: true, value: { order: order.value, events: timeline.value.items } };
}
