/**
 * A line of text as the API accepts it: no control characters, no invisible ones, no spaces at the
 * ends. Pasted text often contains such characters. Joiners and variation selectors stay, because
 * some scripts and emoji need them.
 */
export function tidy(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replace(/(?!\p{Join_Control}|\p{Variation_Selector})\p{Default_Ignorable_Code_Point}/gu, '')
    .trim();
}
