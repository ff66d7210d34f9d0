/**
 * A line of text as the API takes it: no control characters, no invisible ones, no spaces at the ends. Text that is
 * pasted from a chat or a contact often brings such characters along, and nobody sees them. Joiners and variation
 * selectors stay, because some scripts and emoji need them.
 */
export function tidy(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replace(/(?!\p{Join_Control}|\p{Variation_Selector})\p{Default_Ignorable_Code_Point}/gu, '')
    .trim();
}
