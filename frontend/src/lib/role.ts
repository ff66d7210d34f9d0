/** The roles, in display order. */
import type { components } from '$lib/server/api-types';

export type Role = components['schemas']['Role'];

/** The role that every account has. */
export const SHOPPER: Role = 'shopper';

/** The roles that can be assigned and removed. */
export const STAFF_ROLES = [
  'support',
  'catalogue-manager',
  'operator',
  'administrator',
] as const satisfies readonly Role[];
