import { type Api, type Category, type Product, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';

/** How many products of a shelf are looked at for one that is in stock. */
const CANDIDATES = 3;

export const load: PageServerLoad = async ({ locals, url }) => {
  const query = { limit: 1 };
  const list = await outcome(locals.api.GET('/v1/products', { params: { query } }));
  if (!list.ok) refuse(list.problem, url);
  const { categories } = list.value;
  const products = await Promise.all(categories.map((category) => pick(locals.api, category)));
  return { categories, products: products.filter((product) => product !== undefined) };
};

/** A product of the shelf, in stock if there is such. A shelf that does not answer is left out. */
async function pick(api: Api, category: Category): Promise<Product | undefined> {
  const query = { category: category.id, limit: CANDIDATES };
  const shelf = await outcome(api.GET('/v1/products', { params: { query } }));
  if (!shelf.ok) return undefined;
  const { items } = shelf.value;
  return items.find(({ stock }) => stock > 0) ?? items[0];
}
