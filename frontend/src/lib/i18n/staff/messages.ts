/** The staff desk's texts, apart from the shop's: shoppers do not load them. */
import { createContext } from 'svelte';

import type { Language } from '../language';
import type { Filled } from '../messages';
import type { en } from './en';

export type StaffMessages = Filled<typeof en>;

export async function load(language: Language): Promise<StaffMessages> {
  return language === 'es' ? (await import('./es')).es : (await import('./en')).en;
}

export const [getStaffTexts, setStaffTexts] = createContext<{ readonly t: StaffMessages }>();
