/** Which language the visitor chose, if any. */
import type { Cookies } from '@sveltejs/kit';

import { type Language, isLanguage, preferred } from '$lib/i18n/language';

const NAME = 'cauce_language';
const YEAR = 365 * 24 * 60 * 60;

export function languageOf(cookies: Cookies, acceptLanguage: string | null): Language {
  const chosen = cookies.get(NAME);
  return isLanguage(chosen) ? chosen : preferred(acceptLanguage);
}

export function chooseLanguage(cookies: Cookies, language: Language): void {
  const options = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const;
  cookies.set(NAME, language, { ...options, maxAge: YEAR });
}
