/** Orders minute by minute, and what has not come to its end. */
import type { Backlogs, Minute } from '$lib/server/api';

import type { Columns } from './chart';

/** What is counted of the orders of a minute, in the order of the lines. */
export const ENDS = ['accepted', 'shipped', 'cancelled'] as const;

/** The queues, as they are listed. */
export const BACKLOGS = [
  'orders',
  'payments',
  'shipping',
  'refunds',
  'attention',
] as const satisfies readonly (keyof Backlogs)[];

export function columnsOf(minutes: readonly Minute[]): Columns {
  const times = minutes.map(({ at }) => Math.round(Date.parse(at) / 1000));
  return [times, ...ENDS.map((end) => minutes.map((minute) => minute[end]))];
}
