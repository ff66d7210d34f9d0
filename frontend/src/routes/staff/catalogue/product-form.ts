/**
 * Converts between a product's document and the editor's form, whose fields depend on the category.
 */
import { parseAmount, writeAmount } from '$lib/amount';
import type { Language } from '$lib/i18n/language';
import type { AttributeView, ProductDraft } from '$lib/server/api';

/** The form's values by field name. The names are paths in the document. */
export type Values = Record<string, string>;

/** The default currency. */
export const CURRENCY = 'EUR';
/** In characters: the API's limits. */
export const MAX = { sku: 40, title: 120, description: 1000, price: 12, image: 40, attribute: 100 };

const TEXTS = ['title.en', 'title.es', 'description.en', 'description.es'] as const;

export function attributeField(name: string): string {
  return `attributes.${name}`;
}

export function valuesOf(draft: ProductDraft, language: Language): Values {
  const attributes = Object.entries(draft.attributes);
  return {
    'title.en': draft.title.en,
    'title.es': draft.title.es,
    'description.en': draft.description.en,
    'description.es': draft.description.es,
    price: writeAmount(draft.price.cents, draft.price.currency, language),
    currency: draft.price.currency,
    image: draft.image ?? '',
    ...Object.fromEntries(attributes.map(([name, value]) => [attributeField(name), String(value)])),
  };
}

/** The form's fields, trimmed. */
export function readValues(form: FormData, attributes: readonly AttributeView[]): Values {
  const names = [
    'sku',
    ...TEXTS,
    'price',
    'currency',
    'image',
    ...attributes.map(({ name }) => attributeField(name)),
  ];
  const text = (name: string) => {
    const value = form.get(name);
    return typeof value === 'string' ? value.trim() : '';
  };
  return Object.fromEntries(names.map((name) => [name, text(name)]));
}

/** The document of the form. The API validates it. */
export function draftOf(
  values: Values,
  category: string,
  attributes: readonly AttributeView[],
): ProductDraft {
  const text = (name: string) => values[name] ?? '';
  const currency = text('currency') || CURRENCY;
  const given = attributes.filter(({ name }) => text(attributeField(name)) !== '');
  return {
    category,
    title: { en: text('title.en'), es: text('title.es') },
    description: { en: text('description.en'), es: text('description.es') },
    // The API rejects a price of 0, so an unreadable price is sent as 0.
    price: { cents: parseAmount(text('price'), currency) ?? 0, currency },
    image: text('image'),
    attributes: Object.fromEntries(
      given.map(({ name, kind }) => [name, typed(kind, text(attributeField(name)))]),
    ),
  };
}

/** The form field for a path of the document. */
export function fieldOf(path: string): string {
  if (path === 'price.cents') return 'price';
  return path === 'price.currency' ? 'currency' : path;
}

function typed(kind: AttributeView['kind'], text: string): boolean | number | string {
  if (kind === 'flag' && (text === 'true' || text === 'false')) return text === 'true';
  return kind === 'number' && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}
