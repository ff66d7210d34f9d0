/** The visitor's language and texts, for every component below the root layout. */
import { createContext } from 'svelte';

import type { Language } from './language';
import type { Messages } from './messages';

export type I18n = { readonly language: Language; readonly t: Messages };

export const [getI18n, setI18n] = createContext<I18n>();
