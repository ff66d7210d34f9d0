/** The initial state of a form of the console: from its refusal, or from a draft. */
import type { Draft } from '$lib/server/draft';
import type { Refusal } from '$lib/staff';

import type { CommandErrors, Values } from './commands';

export type FormState = {
  values: Values;
  errors: CommandErrors;
  refusal: Refusal | undefined;
  /** Whether it was typed before the session ended. */
  restored: boolean;
};

type Refused = Omit<FormState, 'restored'> & { action: string; subject: string };

export function formStateOf(
  action: string,
  subject: string,
  refused: Refused | null | undefined,
  draft: Draft | undefined,
): FormState | undefined {
  if (refused) {
    const mine = refused.action === action && refused.subject === subject;
    return mine ? { ...refused, restored: false } : undefined;
  }
  if (draft?.action !== action || draft.fields.subject !== subject) return undefined;
  const { choice = '', reason = '' } = draft.fields;
  return { values: { choice, reason }, errors: {}, refusal: undefined, restored: true };
}
