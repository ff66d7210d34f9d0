/** The texts of the checkout, apart from the shop's: most visitors never load them. */
import type { Language } from '../language';
import type { Filled } from '../messages';
import type { en } from './en';

export type CheckoutMessages = Filled<typeof en>;

export async function load(language: Language): Promise<CheckoutMessages> {
  return language === 'es' ? (await import('./es')).es : (await import('./en')).en;
}
