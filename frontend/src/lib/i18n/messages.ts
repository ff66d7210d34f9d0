/** The catalogue's type, and how a page gets at the visitor's own. */
import type { en } from './en';
import type { Language } from './language';

export type Filled<T> = T extends string
  ? string
  : T extends (...parameters: infer P) => string
    ? (...parameters: P) => string
    : { [K in keyof T]: Filled<T[K]> };

export type Messages = Filled<typeof en>;

/** A visitor's browser loads only the catalogue that the visitor reads. */
export async function load(language: Language): Promise<Messages> {
  return language === 'es' ? (await import('./es')).es : (await import('./en')).en;
}
