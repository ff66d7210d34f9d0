/** The text for an invalid reason. */
import { MAX_REASON, MIN_REASON, type ReasonError } from '$lib/reason';

import type { StaffMessages } from './messages';

export function reasonError(
  error: ReasonError | undefined,
  { reason }: StaffMessages,
): string | undefined {
  switch (error) {
    case 'required':
      return reason.required;
    case 'tooShort':
      return reason.tooShort(MIN_REASON);
    case 'tooLong':
      return reason.tooLong(MAX_REASON);
    default:
      return undefined;
  }
}
