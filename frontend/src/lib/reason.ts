/** Why somebody of the staff does something: the API wants it in words, and of a certain length. */
export const MIN_REASON = 3;
export const MAX_REASON = 500;

export type ReasonError = 'required' | 'tooShort' | 'tooLong';

/** The API takes no control characters and no spaces at the ends. */
export function tidyReason(value: FormDataEntryValue | null): string {
  return typeof value === 'string' ? value.replace(/\p{Cc}+/gu, ' ').trim() : '';
}

export function checkReason(reason: string): ReasonError | undefined {
  const length = [...reason].length;
  if (length === 0) return 'required';
  if (length < MIN_REASON) return 'tooShort';
  return length > MAX_REASON ? 'tooLong' : undefined;
}
