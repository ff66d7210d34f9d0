/** The search of the audit log: its fields, their errors, and the API's parameters. */
import { dayAfter, startOfDay } from '$lib/day';

const NAMES = ['actor', 'action', 'target', 'from', 'to'] as const;
type Name = (typeof NAMES)[number];

/** The form's fields; empty where there is no criterion. */
export type Search = Record<Name, string>;
export type SearchErrors = Partial<Record<Name, true>>;

/** In characters: the longest search term is an e-mail address. */
const MAX = 254;

export function readSearch(form: URLSearchParams): Search {
  const text = (name: Name) => (form.get(name) ?? '').trim().slice(0, MAX);
  return {
    actor: text('actor'),
    action: text('action'),
    target: text('target'),
    from: text('from'),
    to: text('to'),
  };
}

/** The form field for one of the API's parameters. */
export function fieldOf(parameter: string | undefined): Name {
  return NAMES.find((name) => name === parameter) ?? 'actor';
}

/** The search as the API's parameters. */
export function toQuery({ actor, action, target, from, to }: Search) {
  const first = startOfDay(from);
  // The last day is included.
  const end = startOfDay(to) && startOfDay(dayAfter(to));
  const errors: SearchErrors = {
    ...(from && !first && { from: true as const }),
    ...(to && !end && { to: true as const }),
  };
  const query = {
    ...(actor && { actor }),
    ...(action && { action }),
    ...(target && { target }),
    ...(first && { from: first.toISOString() }),
    ...(end && { to: end.toISOString() }),
  };
  return { query, errors };
}
