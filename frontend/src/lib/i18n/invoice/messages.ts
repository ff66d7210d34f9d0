/** The texts of the invoice, apart from the shop's: most visitors never load them. */
import type { Language } from '../language';
import type { Filled } from '../messages';
import type { en } from './en';

export type InvoiceMessages = Filled<typeof en>;

export async function load(language: Language): Promise<InvoiceMessages> {
  return language === 'es' ? (await import('./es')).es : (await import('./en')).en;
}
