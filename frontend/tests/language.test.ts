import { describe, expect, it } from 'vitest';

import { en } from '../src/lib/i18n/en';
import { es } from '../src/lib/i18n/es';
import { preferred } from '../src/lib/i18n/language';

it.each([
  ['es-ES,es;q=0.9,en;q=0.8', 'es'],
  ['de-DE, en;q=0.3, es;q=0.7', 'es'],
  ['fr', 'en'],
  ['es;q=0, en;q=0.1', 'en'],
  ['*', 'en'],
  ['', 'en'],
  [null, 'en'],
])('%j is answered in %s', (header, language) => {
  expect(preferred(header)).toBe(language);
});

/** Every text by its path. A text with parameters is called with sample values. */
function texts(catalogue: object, path = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(catalogue)) {
    const here = path ? `${path}.${name}` : name;
    if (typeof value === 'object') texts(value, here).forEach((text, key) => found.set(key, text));
    else found.set(here, typeof value === 'function' ? value(2, '<second>') : value);
  }
  return found;
}

describe('the catalogues', () => {
  it('have the same texts', () => {
    expect([...texts(es).keys()].sort()).toEqual([...texts(en).keys()].sort());
  });

  it.each([en, es])('have no text that is empty or lacks its parameters', (catalogue) => {
    for (const [path, text] of texts(catalogue)) {
      expect(text.trim(), path).not.toBe('');
      expect(text, path).not.toMatch(/undefined|NaN/);
    }
  });

  it('use the same parameters in both languages', () => {
    const spanish = texts(es);
    for (const [path, text] of texts(en)) {
      expect(spanish.get(path)?.includes('<second>'), path).toBe(text.includes('<second>'));
    }
  });
});
