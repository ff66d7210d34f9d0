/** The search of the users: its fields, and the API's parameters. */
import { type Role, SHOPPER, STAFF_ROLES } from '$lib/role';

export const ROLES: readonly Role[] = [SHOPPER, ...STAFF_ROLES];
export const STATUSES = ['enabled', 'disabled'] as const;

/** The form's fields; empty where there is no criterion. */
export type Search = { email: string; role: string; status: string };

type Query = { email?: string; role?: Role; status?: (typeof STATUSES)[number] };

/** In characters, as in the API. */
const MAX = 200;

export function readSearch(form: URLSearchParams): Search {
  const text = (name: string) => (form.get(name) ?? '').trim().slice(0, MAX);
  return { email: text('email'), role: text('role'), status: text('status') };
}

/** The search as the API's parameters. */
export function toQuery(search: Search): Query {
  const role = ROLES.find((it) => it === search.role);
  const status = STATUSES.find((it) => it === search.status);
  return {
    ...(search.email && { email: search.email }),
    ...(role && { role }),
    ...(status && { status }),
  };
}
