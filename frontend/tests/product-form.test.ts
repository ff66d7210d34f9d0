import { describe, expect, it } from 'vitest';

import { differences } from '../src/lib/differences';
import { LANGUAGES } from '../src/lib/i18n/language';
import { draftOf, fieldOf, readValues, valuesOf } from '../src/routes/staff/catalogue/product-form';

const ATTRIBUTES = [
  { name: 'origin', title: 'Origin', kind: 'text' as const, values: ['Japan', 'China'] },
  { name: 'grams', title: 'Weight (g)', kind: 'number' as const, values: ['50', '100'] },
  { name: 'organic', title: 'Organic', kind: 'flag' as const, values: ['false', 'true'] },
];

const DOCUMENT = {
  category: 'tea',
  title: { en: 'Cloud tea', es: 'Té de nubes' },
  description: { en: 'It is green.', es: 'Es verde.' },
  price: { cents: 1250, currency: 'EUR' },
  image: 'cloud',
  attributes: { grams: 100, organic: false },
};

function filled(values: Record<string, string>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) form.set(name, value);
  return form;
}

describe("a product's form", () => {
  it.each(LANGUAGES)('returns the document that it was filled from: %s', (language) => {
    const values = readValues(filled(valuesOf(DOCUMENT, language)), ATTRIBUTES);
    expect(draftOf(values, 'tea', ATTRIBUTES)).toEqual(DOCUMENT);
  });

  it('gives each attribute the type of its category, and omits empty ones', () => {
    const values = readValues(
      filled({ 'attributes.grams': '50', 'attributes.organic': 'true', 'attributes.origin': ' ' }),
      ATTRIBUTES,
    );
    expect(draftOf(values, 'tea', ATTRIBUTES).attributes).toEqual({
      grams: 50,
      organic: true,
    });
  });

  it('sends values of a wrong type, which the API refuses', () => {
    const values = readValues(
      filled({ price: 'free', 'attributes.grams': 'many', 'attributes.organic': 'perhaps' }),
      ATTRIBUTES,
    );
    const draft = draftOf(values, 'tea', ATTRIBUTES);
    expect(draft.price.cents).toBe(0);
    expect(draft.attributes).toEqual({ grams: 'many', organic: 'perhaps' });
  });

  it.each([
    ['EUR', '12.5', 1250],
    ['JPY', '12', 12],
    ['ISK', '12', 1200],
    ['ISK', '12.50', 0],
    ['KWD', '1.25', 1250],
    ['KWD', '1.250', 0],
    ['KWD', '1,250', 0],
    ['EUR', '1.250', 0],
    ['RSD', '12', 0],
  ])('prices in %s as the provider counts it: %s', (currency, price, cents) => {
    const values = readValues(filled({ price, currency }), []);
    expect(draftOf(values, 'tea', []).price).toEqual({ cents, currency });
  });

  it('has no price for a currency that the shop cannot be paid in', () => {
    const values = valuesOf({ ...DOCUMENT, price: { cents: 1250, currency: 'RSD' } }, 'en');
    expect(values).toMatchObject({ price: '', currency: 'RSD' });
  });

  it('shows a fault at its field', () => {
    expect(fieldOf('price.cents')).toBe('price');
    expect(fieldOf('price.currency')).toBe('currency');
    expect(fieldOf('attributes.grams')).toBe('attributes.grams');
  });
});

it('lists the changes, field by field', () => {
  const before = { title: { en: 'Tea', es: 'Té' }, stock: 5, tags: ['a', 'b'], gone: true };
  const after = { title: { en: 'Fog', es: 'Té' }, stock: 5, tags: ['a', 'c'], note: null };
  expect(differences(before, after)).toEqual([
    { field: 'title.en', before: 'Tea', after: 'Fog' },
    { field: 'tags.1', before: 'b', after: 'c' },
    { field: 'gone', before: 'true', after: '' },
  ]);
  expect(differences(undefined, undefined)).toEqual([]);
});
