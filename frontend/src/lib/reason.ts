/** The reason for a staff command: the API requires a text of a certain length. */
import { tidy } from './tidy';

export const MIN_REASON = 3;
export const MAX_REASON = 500;

export type ReasonError = 'required' | 'tooShort' | 'tooLong';

export function tidyReason(value: FormDataEntryValue | null): string {
  return typeof value === 'string' ? tidy(value) : '';
}

export function checkReason(reason: string): ReasonError | undefined {
  const length = [...reason].length;
  if (length === 0) return 'required';
  if (length < MIN_REASON) return 'tooShort';
  return length > MAX_REASON ? 'tooLong' : undefined;
}
