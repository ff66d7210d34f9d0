/** What the status of a dispute means for the order, as in `crates/orders/src/dispute.rs`. */
import type { Dispute } from '$lib/server/api';

type Status = Pick<Dispute, 'status'>;

/** Whether the shop has to answer before the deadline. */
export const needsResponse = ({ status }: Status): boolean =>
  status === 'needs_response' || status === 'warning_needs_response';

/** Whether the disputed amount cannot be refunded. */
export const blocksRefunds = ({ status }: Status): boolean =>
  ['needs_response', 'under_review', 'lost', 'other'].includes(status);
