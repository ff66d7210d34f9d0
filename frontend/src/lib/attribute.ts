/** The value of a product's attribute, as a person reads it. */
import { number } from './format';
import type { I18n } from './i18n/context';

export function attributeText(value: boolean | number | string, i18n: I18n): string {
  const { language, t } = i18n;
  if (value === true || value === 'true') return t.product.yes;
  if (value === false || value === 'false') return t.product.no;
  if (typeof value === 'number') return number(value, language);
  return value.charAt(0).toLocaleUpperCase(language) + value.slice(1);
}
