/**
 * Who may access which route, and the limits of each of its forms. The hooks decide by this table
 * before they read a body. A route without a rule is a type error.
 */
import type { RouteId } from '$app/types';

import { SECTION_SCOPES, STAFF_SCOPES, type SectionName } from '$lib/staff';

export type Access =
  | 'anyone'
  | 'signed-in'
  /** A session with any of these scopes. */
  | readonly string[];

export type BodyRule = {
  contentType: 'application/x-www-form-urlencoded' | 'multipart/form-data' | 'text/csv';
  maxBytes: number;
  /** The largest field, as encoded in the body. */
  maxFieldBytes: number;
  /** How long the whole body may take. */
  deadlineMs: number;
  /** Required in addition to the route's access. */
  access: Access;
};

export type RouteRule = {
  access: Access;
  /** A page's actions by name; an endpoint has only `POST`. */
  forms: Readonly<Record<string, BodyRule>>;
  /** Whether it shows personal data even without a session. */
  isPersonal: boolean;
};

type Forms = Record<string, BodyRule>;

const KB = 1024;

const FORM: BodyRule = {
  contentType: 'application/x-www-form-urlencoded',
  maxBytes: 16 * KB,
  maxFieldBytes: 8 * KB,
  deadlineMs: 10_000,
  access: 'anyone',
};
const PRODUCT_FORM: BodyRule = {
  ...FORM,
  maxBytes: 64 * KB,
  maxFieldBytes: 32 * KB,
  access: ['products:write'],
};
/** A whole file of products, from a browser without JavaScript. */
const PRODUCT_FILE: BodyRule = {
  contentType: 'multipart/form-data',
  maxBytes: 8_500_000,
  maxFieldBytes: 8_500_000,
  // Less than the 30 s that a request may take (server.js).
  deadlineMs: 25_000,
  access: ['products:write'],
};
/** A piece of such a file: 100,000 characters, in UTF-8. */
const PRODUCT_PIECE: BodyRule = {
  contentType: 'text/csv',
  maxBytes: 450 * KB,
  maxFieldBytes: 450 * KB,
  deadlineMs: 10_000,
  access: ['products:write'],
};

const open = (forms: Forms = {}): RouteRule => ({ access: 'anyone', forms, isPersonal: false });
const personal = (forms: Forms = {}): RouteRule => ({ ...open(forms), isPersonal: true });
const signedIn = (forms: Forms = {}): RouteRule => ({ ...personal(forms), access: 'signed-in' });
const staff = (section: SectionName, forms: Forms = {}): RouteRule => ({
  ...personal(forms),
  access: SECTION_SCOPES[section],
});
const needs = (...scopes: string[]): BodyRule => ({ ...FORM, access: scopes });

/** `RouteId` includes this folder, which is not a route. */
type ServedRoute = Exclude<RouteId, '/[x+2e]well-known'>;

export const ROUTE_RULES: Readonly<Record<ServedRoute, RouteRule>> = {
  '/': open(),
  '/[x+2e]well-known/security.txt': open(),
  '/cart': open({ change: FORM, remove: FORM }),
  '/healthz': open(),
  '/language': open({ POST: FORM }),
  '/products': open(),
  '/products/[sku=sku]': open({ default: FORM }),

  '/sign-in': personal({ default: FORM }),
  '/sign-in/code': personal({ default: FORM }),
  '/sign-out': personal({ POST: FORM }),
  '/sign-up': personal({ default: FORM }),
  '/sign-up/confirm': personal({ confirm: FORM, resend: FORM }),
  '/forgot-password': personal({ default: FORM }),
  '/forgot-password/code': personal({ default: FORM }),

  '/account': signedIn({ everywhere: FORM }),
  '/account/delete': signedIn({ default: FORM }),
  '/account/export': signedIn(),
  '/account/email': signedIn({ ask: FORM, verify: FORM }),
  '/account/password': signedIn({ default: FORM }),
  '/account/second-factor': signedIn({ begin: FORM, finish: FORM, drop: FORM }),

  // Open to guests.
  '/checkout': personal({ default: FORM }),
  '/checkout/anew': personal({ POST: FORM }),
  '/checkout/attempt': personal({ POST: FORM }),
  '/find-order': personal({ default: FORM }),
  '/guest-order': personal({ cancel: FORM }),
  '/guest-order/erase': personal({ default: FORM }),
  '/guest-order/live': personal(),
  '/orders': signedIn(),
  '/orders/[id=uuid]': signedIn({ cancel: FORM }),
  '/orders/[id=uuid]/invoice': signedIn(),
  '/orders/[id=uuid]/live': signedIn(),

  '/staff': { ...personal(), access: STAFF_SCOPES },
  '/staff/audit': staff('audit', { default: needs('audit:read') }),
  '/staff/catalogue': staff('catalogue'),
  '/staff/catalogue/[sku=sku]': staff('catalogue', {
    save: PRODUCT_FORM,
    remove: needs('products:write'),
    adjust: needs('stock:write'),
  }),
  '/staff/catalogue/export': staff('catalogue'),
  '/staff/catalogue/import': staff('catalogue', { default: PRODUCT_FILE }),
  '/staff/catalogue/import/piece': staff('catalogue', { POST: PRODUCT_PIECE }),
  '/staff/catalogue/new': staff('catalogue', { save: PRODUCT_FORM }),
  '/staff/operations': staff('operations', {
    force: needs('circuits:write'),
    release: needs('parked:release'),
    resolve: needs('attention:resolve'),
    redrive: needs('dead-letters:redrive'),
  }),
  '/staff/operations/live': staff('operations'),
  '/staff/orders': staff('orders', { default: needs('orders:read-any') }),
  '/staff/orders/[id=uuid]': staff('orders', {
    refund: needs('orders:refund'),
    approve: needs('orders:refund-any-amount'),
    decline: needs('orders:refund-any-amount'),
    cancel: needs('orders:cancel-any'),
  }),
  '/staff/users': staff('users', { default: needs('users:read') }),
  '/staff/users/[id=uuid]': staff('users', {
    roles: needs('users:write'),
    signOut: needs('users:write'),
    disable: needs('users:write'),
    enable: needs('users:write'),
    resetSecondFactor: needs('users:write'),
  }),
};

export function ruleOf(routeId: RouteId): RouteRule {
  const rule = (ROUTE_RULES as Partial<Record<RouteId, RouteRule>>)[routeId];
  if (!rule) throw new Error(`The route ${routeId} has no rule.`);
  return rule;
}

/** The rule of a form's body, if the route has that form. */
export function bodyRuleOf({ forms }: RouteRule, action: string): BodyRule | undefined {
  if (forms.POST) return forms.POST;
  return Object.hasOwn(forms, action) ? forms[action] : undefined;
}

export type Admission = 'admitted' | 'sign-in' | 'forbidden';

export function admit(
  access: Access,
  session: { scopes: readonly string[] } | undefined,
): Admission {
  if (access === 'anyone') return 'admitted';
  if (!session) return 'sign-in';
  if (access === 'signed-in') return 'admitted';
  return access.some((scope) => session.scopes.includes(scope)) ? 'admitted' : 'forbidden';
}
