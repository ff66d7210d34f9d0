/** Amounts of money as people type them. */

/** How many digits of a currency stand after the point. */
export function digitsOf(currency: string): number {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  return format.resolvedOptions().maximumFractionDigits ?? 2;
}

/** An amount in its currency's minor unit as a form holds it, such as `12.50`. */
export function writeAmount(cents: number, currency: string): string {
  const digits = digitsOf(currency);
  return (cents / 10 ** digits).toFixed(digits);
}

/** An amount above zero as people write it, with a point or a comma, in the currency's minor unit. */
export function parseAmount(text: string, currency: string): number | undefined {
  if (!/^[A-Z]{3}$/.test(currency)) return undefined;
  const digits = digitsOf(currency);
  const [, whole, part = ''] = /^(\d{1,9})(?:[.,](\d{1,3}))?$/.exec(text) ?? [];
  if (whole === undefined || part.length > digits) return undefined;
  const cents = Number(whole + part.padEnd(digits, '0'));
  return cents > 0 ? cents : undefined;
}
