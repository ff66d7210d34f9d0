/** Orders per minute, and unfinished work. */
import type { Backlogs, Minute } from '$lib/server/api';

import type { Columns } from './chart';

/** What is counted per minute, in the order of the chart's lines. */
export const ENDS = ['accepted', 'shipped', 'cancelled'] as const;

/** The backlogs, in display order. */
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
