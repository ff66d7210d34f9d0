/** The search in the audit log: what is looked for, and what of it cannot be. */
import { dayAfter, startOfDay } from '$lib/day';

const NAMES = ['actor', 'action', 'target', 'from', 'to'] as const;
type Name = (typeof NAMES)[number];

/** As the form has it, empty where nothing is asked for. */
export type Search = Record<Name, string>;
export type SearchErrors = Partial<Record<Name, true>>;

/** In characters; the longest of what is looked for is an e-mail address. */
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

/** Which of the form's fields the API means by one of its parameters. */
export function fieldOf(parameter: string | undefined): Name {
  return NAMES.find((name) => name === parameter) ?? 'actor';
}

/** The search in the API's own parameters. */
export function toQuery({ actor, action, target, from, to }: Search) {
  const first = startOfDay(from);
  // The day that is named belongs to what is looked for.
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
