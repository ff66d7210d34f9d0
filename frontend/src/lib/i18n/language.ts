/** The languages of the shop. */
export const LANGUAGES = ['en', 'es'] as const;
export type Language = (typeof LANGUAGES)[number];

/** Each language's name for itself. */
export const NAMES: Record<Language, string> = { en: 'English', es: 'Español' };

export function isLanguage(value: unknown): value is Language {
  return LANGUAGES.some((language) => language === value);
}

/** The supported language that `Accept-Language` prefers, else English. */
export function preferred(header: string | null): Language {
  const wishes = (header ?? '').split(',').map((wish) => {
    const [tag = '', ...parameters] = wish.trim().split(';');
    const quality = parameters.map((it) => /^\s*q=([\d.]+)$/.exec(it)?.[1]).find(Boolean);
    return { language: tag.slice(0, 2).toLowerCase(), quality: Number(quality ?? 1) };
  });
  const known = wishes.filter(({ language, quality }) => isLanguage(language) && quality > 0);
  known.sort((a, b) => b.quality - a.quality);
  const language = known[0]?.language;
  return isLanguage(language) ? language : 'en';
}
