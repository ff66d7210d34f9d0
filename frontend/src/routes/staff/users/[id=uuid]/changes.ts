/** What can be done to an account, as the page's forms have it. */
import { type ReasonError, checkReason, tidyReason } from '$lib/reason';
import { type Role, SHOPPER, STAFF_ROLES } from '$lib/role';
import type { Draft } from '$lib/server/draft';
import type { Refusal } from '$lib/staff';

export const ACTIONS = ['roles', 'signOut', 'disable', 'enable', 'resetSecondFactor'] as const;
export type Action = (typeof ACTIONS)[number];

/** What a form of the page begins with. */
export type Held = {
  reason: string;
  /** Those that are ticked; nothing, if the form has none or they are as they were. */
  roles?: Role[];
  error?: ReasonError | undefined;
  refusal?: Refusal;
  /** It was typed before the person had to sign in again. */
  restored?: true;
};

/** The name of a role's box. */
export function boxOf(role: Role): string {
  return `role-${role}`;
}

export function readChange(form: FormData): { reason: string; roles: Role[]; error?: ReasonError } {
  const reason = tidyReason(form.get('reason'));
  const error = checkReason(reason);
  const ticked = STAFF_ROLES.filter((role) => form.has(boxOf(role)));
  return { reason, roles: [SHOPPER, ...ticked], ...(error && { error }) };
}

/** What was kept of the form while its session had ended. */
export function heldByDraft(action: Action, draft: Draft | undefined): Held | undefined {
  if (draft?.action !== action) return undefined;
  const roles = STAFF_ROLES.filter((role) => boxOf(role) in draft.fields);
  return { reason: draft.fields.reason ?? '', roles, restored: true };
}
