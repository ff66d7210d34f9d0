/** The idempotency key of the next refund of an order. */
import type { Order } from '$lib/server/api';
import { formKey } from '$lib/server/form-key';

type Refunded = Pick<Order, 'id' | 'refunds'> & { for_staff?: Order['for_staff'] };

/**
 * Made from the ids of all refunds, including those that await approval: a form that was shown
 * before the last of them is out of date, and the same form sent twice refunds once.
 */
export function refundKey({ id, refunds, for_staff }: Refunded): string {
  const approvals = for_staff?.refund_approvals ?? [];
  const ids = [...refunds, ...approvals].map((refund) => refund.id);
  return formKey('refund', id, ...new Set(ids.sort()));
}
