/** The changes to an account, as the page's forms. */
import { type ReasonError, checkReason, tidyReason } from '$lib/reason';
import { type Role, SHOPPER, STAFF_ROLES } from '$lib/role';
import type { Draft } from '$lib/server/draft';
import type { Refusal } from '$lib/staff';

export const ACTIONS = ['roles', 'signOut', 'disable', 'enable', 'resetSecondFactor'] as const;
export type Action = (typeof ACTIONS)[number];

/** The initial state of a form of the page. */
export type FormState = {
  reason: string;
  /** The ticked roles; undefined if the form has no boxes, or they are unchanged. */
  roles?: Role[];
  error?: ReasonError | undefined;
  refusal?: Refusal;
  /** Whether it was typed before the session ended. */
  restored?: true;
};

/** The field name of a role's checkbox. */
export function boxOf(role: Role): string {
  return `role-${role}`;
}

export function readChange(form: FormData): { reason: string; roles: Role[]; error?: ReasonError } {
  const reason = tidyReason(form.get('reason'));
  const error = checkReason(reason);
  const ticked = STAFF_ROLES.filter((role) => form.has(boxOf(role)));
  return { reason, roles: [SHOPPER, ...ticked], ...(error && { error }) };
}

/** The state of a form from its draft. */
export function stateFromDraft(action: Action, draft: Draft | undefined): FormState | undefined {
  if (draft?.action !== action) return undefined;
  const roles = STAFF_ROLES.filter((role) => boxOf(role) in draft.fields);
  return { reason: draft.fields.reason ?? '', roles, restored: true };
}
