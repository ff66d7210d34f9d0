import { redirect } from '@sveltejs/kit';

import { outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';

const PAGE = 24;
/** In characters, as in the shop's search. */
const MAX_Q = 100;
const NAMES = ['q', 'category', 'cursor'] as const;

export const load: PageServerLoad = async ({ locals, url }) => {
  const asked = (name: string) => (url.searchParams.get(name) ?? '').trim().slice(0, MAX_Q);
  const search = { q: asked('q'), category: asked('category') };
  const cursor = url.searchParams.get('cursor') ?? '';
  const href = (cursor: string) => {
    const all = { ...search, cursor };
    const set = NAMES.filter((name) => all[name]).map((name): [string, string] => [
      name,
      all[name],
    ]);
    return `/staff/catalogue?${new URLSearchParams(set)}`;
  };

  const { q, category } = search;
  const found = await outcome(
    locals.api.GET('/v1/products', {
      params: {
        query: {
          limit: PAGE,
          ...(q && { q }),
          ...(category && { category }),
          ...(cursor && { cursor }),
        },
      },
    }),
  );
  if (!found.ok) {
    if (found.problem.kind === 'invalid-cursor') redirect(303, href(''));
    refuse(found.problem, url);
  }
  const { items, categories, next_cursor } = found.value;
  return {
    search,
    products: items,
    categories,
    next: next_cursor ? href(next_cursor) : undefined,
    first: cursor ? href('') : undefined,
    mayWrite: locals.session?.scopes.includes('products:write') ?? false,
    done: url.searchParams.get('done'),
  };
};
