/** The texts of the account pages, apart from the shop's: most visitors never load them. */
import type { Language } from '../language';
import type { Filled } from '../messages';
import type { en } from './en';

export type AccountMessages = Filled<typeof en>;

export async function load(language: Language): Promise<AccountMessages> {
  return language === 'es' ? (await import('./es')).es : (await import('./en')).en;
}
