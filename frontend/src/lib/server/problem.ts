/** Turns the API's problem+json into what a page can show. */
import { error, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';

import type { components } from './api-types';

type Body = components['schemas']['ProblemBody'];

export type ProblemKind = (typeof KINDS)[number];

/** The last segments of the `type`s that pages handle; any other one is `unavailable`. */
const KINDS = [
  'forbidden',
  'idempotency-key-reused',
  'invalid-cursor',
  'last-administrator',
  'not-administrator',
  'not-found',
  'nothing-to-restart',
  'order-not-cancellable',
  'order-not-parked',
  'order-not-refundable',
  'orders-under-way',
  'order-too-large',
  'out-of-stock',
  'own-account',
  'own-order',
  'own-refund-request',
  'precondition-failed',
  'refund-approval-closed',
  'refund-over-day-limit',
  'refund-over-limit',
  'refund-too-large',
  'staff-account',
  'too-many-orders',
  'too-many-tries',
  'too-much-unpaid',
  'unauthorized',
  'validation',
  'unavailable',
] as const;

export type Problem = {
  kind: ProblemKind;
  /** The invalid field of the request, such as `shipping_address.city` or `lines[0].sku`. */
  field: string | undefined;
  detail: string | undefined;
  /** All invalid fields, if the API reports them together. */
  fields: readonly string[];
};

const NO_DETAILS = { field: undefined, detail: undefined, fields: [] };

export const UNAVAILABLE: Problem = { kind: 'unavailable', ...NO_DETAILS };
export const NOT_FOUND: Problem = { kind: 'not-found', ...NO_DETAILS };

/**
 * Reads a response that is not a success. The gateway in front of the API sends no problem+json.
 */
export function problem(status: number, body: Partial<Body> | undefined): Problem {
  const slug = body?.type?.split('/').at(-1);
  const kind = KINDS.find((kind) => kind === slug) ?? kindOf(status);
  const field = body?.field ?? undefined;
  const fields = body?.errors?.map((fault) => fault.field) ?? (field ? [field] : []);
  return { kind, field, detail: body?.detail, fields };
}

function kindOf(status: number): ProblemKind {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  return 'unavailable';
}

/** Ends a page's load with a redirect to the sign-in page, or with an error page. */
export function refuse(problem: Problem, url: URL): never {
  switch (problem.kind) {
    case 'unauthorized':
      redirect(303, signInPath(url));
      break;
    case 'forbidden':
      error(403, 'forbidden');
      break;
    case 'not-found':
      error(404, 'not-found');
      break;
    default:
      error(503, 'unavailable');
  }
}
