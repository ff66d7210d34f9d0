/** Prices, dates and numbers in the visitor's language. */
import { decimalOf } from './amount';
import type { Language } from './i18n/language';

/** The shop's time zone. Server and browser must write the same times. */
export const TIME_ZONE = 'Europe/Madrid';
const LOCALES: Record<Language, string> = { en: 'en-IE', es: 'es-ES' };

/** The unit of an amount in an unsupported currency. */
const MINOR_UNITS: Record<Language, string> = { en: 'minor units', es: 'unidades menores' };

/** An amount of the API, formatted. */
export function money(cents: number, currency: string, language: Language): string {
  const amount = decimalOf(cents, currency);
  if (!amount) return `${number(cents, language)} ${currency} (${MINOR_UNITS[language]})`;
  const format = new Intl.NumberFormat(LOCALES[language], {
    style: 'currency',
    currency,
    minimumFractionDigits: amount.digits,
    maximumFractionDigits: amount.digits,
  });
  return format.format(amount.value);
}

export function number(value: number, language: Language): string {
  return new Intl.NumberFormat(LOCALES[language]).format(value);
}

export function day(at: string, language: Language): string {
  const format = new Intl.DateTimeFormat(LOCALES[language], {
    dateStyle: 'long',
    timeZone: TIME_ZONE,
  });
  return format.format(new Date(at));
}

export function moment(at: string, language: Language): string {
  const format = new Intl.DateTimeFormat(LOCALES[language], {
    dateStyle: 'medium',
    timeStyle: 'short',
    timeZone: TIME_ZONE,
  });
  return format.format(new Date(at));
}

/** The time of day, to the second. */
export function clock(at: string | number, language: Language): string {
  const format = new Intl.DateTimeFormat(LOCALES[language], {
    timeStyle: 'medium',
    timeZone: TIME_ZONE,
  });
  return format.format(new Date(at));
}

const UNITS = [
  { unit: 'day', ms: 24 * 60 * 60 * 1000 },
  { unit: 'hour', ms: 60 * 60 * 1000 },
  { unit: 'minute', ms: 60 * 1000 },
  { unit: 'second', ms: 1000 },
] as const;

/** A duration in the largest unit of which it has at least one. */
export function duration(ms: number, language: Language): string {
  const { unit, ms: one } = UNITS.find((it) => ms >= it.ms) ?? { unit: 'second', ms: 1000 };
  const format = new Intl.NumberFormat(LOCALES[language], {
    style: 'unit',
    unit,
    unitDisplay: 'short',
  });
  return format.format(Math.floor(ms / one));
}

/** A share from 0 to 1 as a percentage. */
export function percent(share: number, language: Language): string {
  const format = new Intl.NumberFormat(LOCALES[language], {
    style: 'percent',
    maximumFractionDigits: 1,
  });
  return format.format(share);
}

export function country(code: string, language: Language): string {
  return new Intl.DisplayNames(LOCALES[language], { type: 'region' }).of(code) ?? code;
}
