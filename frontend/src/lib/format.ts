/** Prices, dates and numbers as the visitor's language writes them. */
import { decimalOf } from './amount';
import type { Language } from './i18n/language';

/** The shop is in Spain, and says so in its times: server and browser must write the same. */
export const TIME_ZONE = 'Europe/Madrid';
const LOCALES: Record<Language, string> = { en: 'en-IE', es: 'es-ES' };

/** What an amount is counted in if nothing tells what that is worth. */
const MINOR_UNITS: Record<Language, string> = { en: 'minor units', es: 'unidades menores' };

/** An amount as the API counts it, for people. */
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

/** The time of a day, to the second. */
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

/** How long something takes, in the largest unit of which it is one whole. */
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
