/**
 * Amounts of money as people read and type them.
 *
 * The API counts a currency in the payment provider's unit. `currencies.json` has the decimals of
 * each; a test of `crates/orders` writes it. The digits that `Intl` knows are not used, because they
 * change with the runtime's version.
 */
import currencies from './currencies.json';
import type { Language } from './i18n/language';

type Rules = {
  /** How many decimals an amount of the API has. */
  exponent: number;
  /** How many of them people write. */
  digits: number;
  /** What every amount is a multiple of. */
  step: number;
};

const RULES = new Map<string, Rules>(Object.entries(currencies));

/** The codes of the currencies that the shop can be paid in. */
export const CURRENCIES: readonly string[] = [...RULES.keys()];

/** A product may have been stored with a currency that the shop cannot be paid in. */
export function isSupported(currency: string): boolean {
  return RULES.has(currency);
}

/**
 * Whether the shop can charge this amount: its currency is supported, and it is a multiple of the
 * currency's step.
 */
export function isChargeable({ cents, currency }: { cents: number; currency: string }): boolean {
  const rules = RULES.get(currency);
  return rules !== undefined && cents % rules.step === 0;
}

/** An amount in people's unit, and how many decimals to write; nothing, if it is not supported. */
export function decimalOf(
  cents: number,
  currency: string,
): { value: number; digits: number } | undefined {
  const rules = RULES.get(currency);
  if (!rules) return undefined;
  const { exponent, digits, step } = rules;
  // An amount that was stored before these rules is shown with its fraction.
  return { value: cents / 10 ** exponent, digits: cents % step === 0 ? digits : exponent };
}

const DECIMAL_SEPARATOR: Record<Language, string> = { en: '.', es: ',' };

/** Looks like a number whose thousands are grouped, such as `1.250`. */
const GROUPED = /^[1-9]\d{0,2}[.,]\d{3}$/;

/** How many decimals a form writes. The third of a dinar's is always zero, and would look grouped. */
function typedDigits({ exponent, step }: Rules): number {
  return exponent - Math.round(Math.log10(step));
}

/** An amount as a form holds it, such as `12.50`; empty if the currency is not supported. */
export function writeAmount(cents: number, currency: string, language: Language): string {
  const rules = RULES.get(currency);
  if (!rules) return '';
  // An amount that was stored before these rules is written with its fraction.
  const digits = cents % rules.step === 0 ? typedDigits(rules) : rules.exponent;
  const text = (cents / 10 ** rules.exponent).toFixed(digits);
  return text.replace('.', DECIMAL_SEPARATOR[language]);
}

/** What an amount of the currency looks like: `12.50` or `12`. */
export function exampleAmount(currency: string, language: Language): string {
  const rules = RULES.get(currency);
  const digits = rules ? typedDigits(rules) : 2;
  return digits === 0 ? '12' : `12${DECIMAL_SEPARATOR[language]}${'5'.padEnd(digits, '0')}`;
}

/**
 * An amount above zero as people write it, with a point or a comma before the decimals, in the API's
 * unit. `1.250` is 1.25 dinars for one person and 1250 for another: such a text is refused.
 */
export function parseAmount(text: string, currency: string): number | undefined {
  const rules = RULES.get(currency);
  const [, whole, part = ''] = /^(\d{1,9})(?:[.,](\d{1,3}))?$/.exec(text) ?? [];
  if (!rules || whole === undefined || part.length > rules.digits) return undefined;
  if (GROUPED.test(text)) return undefined;
  const cents = Number(whole + part.padEnd(rules.exponent, '0'));
  return cents > 0 && cents % rules.step === 0 ? cents : undefined;
}
