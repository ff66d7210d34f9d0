/** Reads the console's forms: the commands, and their errors. */
import { isProvider } from '$lib/ids';
import { type ReasonError, checkReason, tidyReason } from '$lib/reason';
import type { Forced, Provider, Resolution } from '$lib/server/api';

/** The choices for a circuit: a forced state, or an end to it. */
export const FORCE_CHOICES = ['open', 'closed', 'disabled', 'release'] as const;
export const RESOLUTIONS = ['dismiss', 'restart'] as const;

export type CommandErrors = { reason?: ReasonError; choice?: true };

/** The values of a form, to show it again. */
export type Values = { choice: string; reason: string };

export function readForce(form: FormData): {
  provider: Provider | undefined;
  /** `null` ends the override. */
  force: Forced | null;
  values: Values;
  errors: CommandErrors;
} {
  const provider = form.get('subject');
  const { values, chosen, errors } = read(form, FORCE_CHOICES);
  return {
    provider: isProvider(provider) ? provider : undefined,
    force: chosen === undefined || chosen === 'release' ? null : chosen,
    values,
    errors,
  };
}

export function readResolve(form: FormData): {
  id: string;
  resolution: Resolution | undefined;
  values: Values;
  errors: CommandErrors;
} {
  const id = form.get('subject');
  const { values, chosen, errors } = read(form, RESOLUTIONS);
  return { id: typeof id === 'string' ? id : '', resolution: chosen, values, errors };
}

export function hasErrors(errors: CommandErrors): boolean {
  return Object.keys(errors).length > 0;
}

function read<T extends string>(form: FormData, choices: readonly T[]) {
  const choice = form.get('choice');
  const chosen = choices.find((one) => one === choice);
  const reason = tidyReason(form.get('reason'));
  const wrong = checkReason(reason);
  const errors: CommandErrors = {
    ...(wrong && { reason: wrong }),
    ...(chosen === undefined && { choice: true as const }),
  };
  return { values: { choice: chosen ?? '', reason }, chosen, errors };
}
