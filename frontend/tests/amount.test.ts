import { afterEach, describe, expect, it, vi } from 'vitest';

import {
  CURRENCIES,
  exampleAmount,
  isChargeable,
  isSupported,
  parseAmount,
  writeAmount,
} from '../src/lib/amount';
import { money } from '../src/lib/format';
import { LANGUAGES } from '../src/lib/i18n/language';

/** An amount of the API, how it is shown in both languages, and its value in a form. */
const AMOUNTS = [
  ['EUR', 1_234_567, '12,345.67', '12.345,67', '12345.67'],
  ['JPY', 12_345, '12,345', '12.345', '12345'],
  ['ISK', 1_234_500, '12,345', '12.345', '12345'],
  ['UGX', 1_234_500, '12,345', '12.345', '12345'],
  ['HUF', 1_234_500, '12,345', '12.345', '12345'],
  ['TWD', 1_234_500, '12,345', '12.345', '12345'],
  ['KWD', 12_345_670, '12,345.670', '12.345,670', '12345.67'],
  ['IDR', 1_234_567, '12,345.67', '12.345,67', '12345.67'],
  ['COP', 1_234_567, '12,345.67', '12.345,67', '12345.67'],
] as const;

/** Without the currency's symbol, which depends on the locale data. */
function numberOf(amount: string): string | undefined {
  return /[\d.,]*\d/.exec(amount)?.[0];
}

describe.each(AMOUNTS)('an amount of %s', (currency, cents, en, es, typed) => {
  afterEach(() => vi.unstubAllGlobals());

  it('is shown with the digits of the table', () => {
    expect(numberOf(money(cents, currency, 'en'))).toBe(en);
    expect(numberOf(money(cents, currency, 'es'))).toBe(es);
  });

  it('is shown with the same digits whatever the locale data has', () => {
    const before = money(cents, currency, 'en');
    for (const digits of [0, 1, 3]) {
      class OtherData extends Intl.NumberFormat {
        constructor(locale: string, options: Intl.NumberFormatOptions) {
          const its = { minimumFractionDigits: digits, maximumFractionDigits: digits };
          super(locale, { ...its, ...options });
        }
      }
      vi.stubGlobal('Intl', { ...Intl, NumberFormat: OtherData });
      expect(money(cents, currency, 'en')).toBe(before);
      expect(writeAmount(cents, currency, 'en')).toBe(typed);
      expect(parseAmount(typed, currency)).toBe(cents);
      vi.unstubAllGlobals();
    }
  });

  it('is typed as it is shown', () => {
    const withComma = typed.replace('.', ',');
    expect(writeAmount(cents, currency, 'en')).toBe(typed);
    expect(writeAmount(cents, currency, 'es')).toBe(withComma);
    expect(parseAmount(typed, currency)).toBe(cents);
    expect(parseAmount(withComma, currency)).toBe(cents);
  });
});

describe('an amount that is typed', () => {
  it('may omit its last digits', () => {
    expect(parseAmount('12,5', 'EUR')).toBe(1250);
    expect(parseAmount('12', 'EUR')).toBe(1200);
    expect(parseAmount('0.29', 'EUR')).toBe(29);
    expect(parseAmount('1.25', 'KWD')).toBe(1250);
  });

  it.each([
    ['1.250', 'KWD', undefined],
    ['1,250', 'KWD', undefined],
    ['125.500', 'KWD', undefined],
    ['125,500', 'KWD', undefined],
    // Thousands are never grouped like this.
    ['0.250', 'KWD', 250],
    ['0,250', 'KWD', 250],
    ['1250.500', 'KWD', 1_250_500],
    // The currency does not have these decimals.
    ['1.250', 'EUR', undefined],
    ['1,250', 'EUR', undefined],
    ['1.250', 'JPY', undefined],
    ['1,250', 'JPY', undefined],
    ['1.250,50', 'EUR', undefined],
    ['1 250', 'EUR', undefined],
    ["1'250", 'EUR', undefined],
  ] as const)('is never read as a thousand times more or less: %s %s', (text, currency, cents) => {
    expect(parseAmount(text, currency)).toBe(cents);
  });

  it.each(['0', '0.00', '-1', '1.234', '1,234.50', '1e3', '12 €', 'all', '9999999999', '½', ''])(
    'is not read from %s',
    (text) => {
      expect(parseAmount(text, 'EUR')).toBeUndefined();
    },
  );

  it.each([
    ['5.50', 'JPY'],
    ['5.5', 'ISK'],
    ['5.50', 'UGX'],
    ['5.50', 'HUF'],
    ['5.124', 'KWD'],
    ['5', 'RSD'],
    ['5', 'eur'],
    ['5', 'no currency'],
  ])('is not one that can be charged: %s %s', (text, currency) => {
    expect(parseAmount(text, currency)).toBeUndefined();
  });

  it.each(CURRENCIES)('has an example in %s', (currency) => {
    for (const language of LANGUAGES) {
      const example = exampleAmount(currency, language);
      expect(parseAmount(example, currency)).toBeGreaterThan(0);
    }
  });
});

describe('an amount that was stored before the table', () => {
  it('is in minor units if the shop cannot be paid in its currency', () => {
    expect(isSupported('RSD')).toBe(false);
    expect(isChargeable({ cents: 123_456, currency: 'RSD' })).toBe(false);
    expect(money(123_456, 'RSD', 'en')).toBe('123,456 RSD (minor units)');
    expect(money(123_456, 'RSD', 'es')).toBe('123.456 RSD (unidades menores)');
    expect(writeAmount(123_456, 'RSD', 'en')).toBe('');
  });

  it('is shown with a fraction that can no longer be charged', () => {
    expect(numberOf(money(1_250, 'ISK', 'en'))).toBe('12.50');
    expect(isChargeable({ cents: 1_250, currency: 'ISK' })).toBe(false);
    expect(parseAmount(writeAmount(1_250, 'ISK', 'en'), 'ISK')).toBeUndefined();
  });
});
