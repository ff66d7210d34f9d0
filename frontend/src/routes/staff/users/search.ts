/** The search for users: what is looked for. */
import { type Role, SHOPPER, STAFF_ROLES } from '$lib/role';

export const ROLES: readonly Role[] = [SHOPPER, ...STAFF_ROLES];
export const STATUSES = ['enabled', 'disabled'] as const;

/** As the address of the page has it, empty where nothing is asked for. */
export type Search = { email: string; role: string; status: string };

type Query = { email?: string; role?: Role; status?: (typeof STATUSES)[number] };

const NAMES = ['email', 'role', 'status'] as const;
/** In characters, as the API has it. */
const MAX = 200;

export function readSearch(address: URLSearchParams): Search {
  const text = (name: string) => (address.get(name) ?? '').trim().slice(0, MAX);
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

/** The address of the page with the search, without what is not asked for. */
export function hrefOf(search: Search, cursor?: string): string {
  const asked = NAMES.filter((name) => search[name]).map((name): [string, string] => [
    name,
    search[name],
  ]);
  const query = new URLSearchParams(cursor ? [...asked, ['cursor', cursor]] : asked).toString();
  return `/staff/users${query && `?${query}`}`;
}
