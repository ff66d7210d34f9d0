/** The sections of the staff desk, and which scopes open them. Pure rules, no texts. */
import { SHOPPER } from './role';

export type SectionName = 'orders' | 'catalogue' | 'operations' | 'users' | 'audit';

/** Any of a section's scopes opens it. */
export const SECTION_SCOPES: Readonly<Record<SectionName, readonly string[]>> = {
  orders: ['orders:read-any'],
  catalogue: ['products:write', 'stock:write'],
  operations: [
    'activity:read',
    'circuits:read',
    'parked:read',
    'attention:read',
    'dead-letters:read',
  ],
  users: ['users:read'],
  audit: ['audit:read'],
};

/** Any of them opens the desk itself. */
export const STAFF_SCOPES: readonly string[] = Object.values(SECTION_SCOPES).flat();

const SECTIONS = Object.entries(SECTION_SCOPES) as [SectionName, readonly string[]][];

/** The sections that these scopes open, in display order. */
export function sectionsFor(scopes: readonly string[]): { name: SectionName; href: string }[] {
  return SECTIONS.filter(([, opening]) => opening.some((scope) => scopes.includes(scope))).map(
    ([name]) => ({ name, href: `/staff/${name}` }),
  );
}

/**
 * Whether a person has a staff role but no scope of the desk: they signed in without a second
 * factor.
 */
export function lacksSecondFactor(roles: readonly string[], scopes: readonly string[]): boolean {
  return roles.some((role) => role !== SHOPPER) && sectionsFor(scopes).length === 0;
}

export function isWithin(path: string, href: string): boolean {
  return path === href || path.startsWith(`${href}/`);
}

/** The problems that a refused command is explained by; any other one is `unavailable`. */
const REFUSALS = [
  'forbidden',
  'idempotency-key-reused',
  'last-administrator',
  'not-administrator',
  'not-found',
  'nothing-to-restart',
  'order-not-cancellable',
  'order-not-parked',
  'order-not-refundable',
  /** Not from the API: the state that the form was shown for has changed. */
  'outdated',
  'out-of-stock',
  'own-account',
  'own-order',
  'own-refund-request',
  'precondition-failed',
  'refund-approval-closed',
  'refund-over-day-limit',
  'refund-over-limit',
  'refund-too-large',
  'validation',
  'unavailable',
] as const;

export type Refusal = (typeof REFUSALS)[number];

export function refusalOf(kind: string): Refusal {
  return REFUSALS.find((refusal) => refusal === kind) ?? 'unavailable';
}
