/** The texts of the error page, by status. */
import type { Messages } from './i18n/messages';

export function failureTexts(
  t: Messages['failure'],
  status: number,
): [title: string, text: string] {
  switch (status) {
    case 403:
      return [t.forbiddenTitle, t.forbiddenText];
    case 404:
      return [t.notFoundTitle, t.notFoundText];
    case 408:
      return [t.tooSlowTitle, t.tooSlowText];
    case 405:
    case 415:
      return [t.notAcceptedTitle, t.notAcceptedText];
    case 413:
      return [t.tooLargeTitle, t.tooLargeText];
    case 429:
      return [t.tooManyTitle, t.tooManyText];
    case 503:
      return [t.unavailableTitle, t.unavailableText];
    default:
      return [t.otherTitle, t.otherText];
  }
}
