/** Which parts of the staff desk there are, and who sees which. Pure rules, no texts. */
import { SHOPPER } from './role';

export type SectionName = 'orders' | 'catalogue' | 'operations' | 'users' | 'audit';

type Section = {
  name: SectionName;
  href: string;
  /** Any of them opens it. */
  scopes: readonly string[];
};

const SECTIONS: readonly Section[] = [
  { name: 'orders', href: '/staff/orders', scopes: ['orders:read-any'] },
  { name: 'catalogue', href: '/staff/catalogue', scopes: ['products:write', 'stock:write'] },
  {
    name: 'operations',
    href: '/staff/operations',
    scopes: [
      'activity:read',
      'circuits:read',
      'parked:read',
      'attention:read',
      'dead-letters:read',
    ],
  },
  { name: 'users', href: '/staff/users', scopes: ['users:read'] },
  { name: 'audit', href: '/staff/audit', scopes: ['audit:read'] },
];

/** What somebody with these scopes finds at the desk, in the order to show it. */
export function sectionsFor(scopes: readonly string[]): { name: SectionName; href: string }[] {
  return SECTIONS.filter((section) => opens(section, scopes)).map(({ name, href }) => ({
    name,
    href,
  }));
}

/** Whether the page at `path` is for somebody with these scopes; the desk itself is for all staff. */
export function mayEnter(path: string, scopes: readonly string[]): boolean {
  const section = SECTIONS.find(({ href }) => isWithin(path, href));
  return section ? opens(section, scopes) : sectionsFor(scopes).length > 0;
}

/** Staff by their role, whose token opens nothing: it was got without a second factor. */
export function lacksSecondFactor(roles: readonly string[], scopes: readonly string[]): boolean {
  return roles.some((role) => role !== SHOPPER) && sectionsFor(scopes).length === 0;
}

export function isWithin(path: string, href: string): boolean {
  return path === href || path.startsWith(`${href}/`);
}

function opens(section: Section, scopes: readonly string[]): boolean {
  return section.scopes.some((scope) => scopes.includes(scope));
}

/** What a refused command is told as; everything else is that the API does not answer. */
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
  'out-of-stock',
  'own-account',
  'precondition-failed',
  'refund-over-limit',
  'refund-too-large',
  'validation',
  'unavailable',
] as const;

export type Refusal = (typeof REFUSALS)[number];

export function refusalOf(kind: string): Refusal {
  return REFUSALS.find((refusal) => refusal === kind) ?? 'unavailable';
}
