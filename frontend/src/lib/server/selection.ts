/**
 * The products on the front page. They are the same for every visitor of a language, and cached for
 * some seconds.
 */
import { LRUCache } from 'lru-cache';

import type { Language } from '$lib/i18n/language';

import { type Api, type Category, type Product, outcome } from './api';

/** Within the time for which an order may use an earlier price. */
const KEPT_FOR_MS = 5_000;

/** How many products of a category are checked for one in stock. */
const CANDIDATES = 3;

export interface Selection {
  categories: Category[];
  /** One of each category for which the API answers. */
  products: Product[];
}

const kept = new LRUCache<Language, Selection, Api>({
  max: 8,
  ttl: KEPT_FOR_MS,
  fetchMethod: (_language, _stale, { context }) => select(context),
});

/** The categories and a product of each; undefined if the API does not answer. */
export function selectionFor(language: Language, api: Api): Promise<Selection | undefined> {
  return kept.fetch(language, { context: api });
}

async function select(api: Api): Promise<Selection | undefined> {
  const list = await outcome(api.GET('/v1/products', { params: { query: { limit: 1 } } }));
  if (!list.ok) return undefined;
  const { categories } = list.value;
  const products = await Promise.all(categories.map((category) => pick(api, category)));
  return { categories, products: products.filter((product) => product !== undefined) };
}

/** A product of the category, in stock if possible. */
async function pick(api: Api, category: Category): Promise<Product | undefined> {
  const query = { category: category.id, limit: CANDIDATES };
  const shelf = await outcome(api.GET('/v1/products', { params: { query } }));
  if (!shelf.ok) return undefined;
  const { items } = shelf.value;
  return items.find(({ stock }) => stock > 0) ?? items[0];
}
