/** The language that the visitor has chosen. */
import type { Cookies } from '@sveltejs/kit';

import { type Language, isLanguage, preferred } from '$lib/i18n/language';

import { hostCookie } from './host-cookie';

const COOKIE = hostCookie('language');
const YEAR = 365 * 24 * 60 * 60;

export function languageOf(cookies: Cookies, acceptLanguage: string | null): Language {
  const chosen = COOKIE.read(cookies);
  return isLanguage(chosen) ? chosen : preferred(acceptLanguage);
}

export function chooseLanguage(cookies: Cookies, language: Language): void {
  COOKIE.write(cookies, language, YEAR);
}
