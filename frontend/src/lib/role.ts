/** The roles, in the order to show them. */
import type { components } from '$lib/server/api-types';

export type Role = components['schemas']['Role'];

/** The role that everybody has. */
export const SHOPPER: Role = 'shopper';

/** The roles that can be given and taken. */
export const STAFF_ROLES = [
  'support',
  'catalogue-manager',
  'operator',
  'administrator',
] as const satisfies readonly Role[];
