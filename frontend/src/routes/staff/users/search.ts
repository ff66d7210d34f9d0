/** The search for users: what is looked for. */
import { type Role, SHOPPER, STAFF_ROLES } from '$lib/role';

export const ROLES: readonly Role[] = [SHOPPER, ...STAFF_ROLES];
export const STATUSES = ['enabled', 'disabled'] as const;

/** As the form has it, empty where nothing is asked for. */
export type Search = { email: string; role: string; status: string };

type Query = { email?: string; role?: Role; status?: (typeof STATUSES)[number] };

/** In characters, as the API has it. */
const MAX = 200;

export function readSearch(form: URLSearchParams): Search {
  const text = (name: string) => (form.get(name) ?? '').trim().slice(0, MAX);
  return { email: text('email'), role: text('role'), status: text('status') };
}

/** The search in the API's own parameters. */
export function toQuery(search: Search): Query {
  const role = ROLES.find((it) => it === search.role);
  const status = STATUSES.find((it) => it === search.status);
  return {
    ...(search.email && { email: search.email }),
    ...(role && { role }),
    ...(status && { status }),
  };
}
