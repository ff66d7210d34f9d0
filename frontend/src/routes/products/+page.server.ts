import { error } from '@sveltejs/kit';

import { outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';
import { type Filters, queryOf, readFilters } from './filters';

export const load: PageServerLoad = async ({ locals, url }) => {
  const search = (filters: Filters) =>
    outcome(locals.api.GET('/v1/products', { querySerializer: () => queryOf(filters).toString() }));

  const filters = readFilters(url.searchParams);
  let list = await search(filters);
  const stale = !list.ok && list.problem.kind === 'invalid-cursor';
  if (stale) list = await search({ ...filters, cursor: undefined });
  if (!list.ok) {
    // A category or an attribute that the API rejects does not exist.
    if (list.problem.kind === 'validation') error(404, 'not-found');
    refuse(list.problem, url);
  }

  const { items, categories, next_cursor } = list.value;
  return {
    filters: stale ? { ...filters, cursor: undefined } : filters,
    stale,
    products: items,
    categories,
    category: categories.find(({ id }) => id === filters.category),
    next: next_cursor ?? undefined,
  };
};
