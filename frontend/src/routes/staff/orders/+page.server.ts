import { redirect } from '@sveltejs/kit';

import { type FoundOrder, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';
import { type SearchErrors, fieldOf, hrefOf, readSearch, toQuery } from './search';

const PAGE = 24;

type Page = { orders: FoundOrder[]; next: string | undefined; errors: SearchErrors };

export const load: PageServerLoad = async ({ locals, url }) => {
  const search = readSearch(url.searchParams);
  const { query, errors } = toQuery(search);
  const cursor = url.searchParams.get('cursor') || undefined;
  const page = (it: Page) => ({ ...it, search, isFirst: cursor === undefined });
  const nothing = (errors: SearchErrors) => page({ orders: [], next: undefined, errors });
  if (Object.keys(errors).length > 0) return nothing(errors);

  const found = await outcome(
    locals.api.GET('/v1/orders/search', {
      params: { query: { ...query, limit: PAGE, ...(cursor && { cursor }) } },
    }),
  );
  if (!found.ok) {
    const { kind } = found.problem;
    if (kind === 'invalid-cursor') redirect(303, hrefOf(search));
    if (kind === 'validation') return nothing({ [fieldOf(found.problem.field)]: true });
    refuse(found.problem, url);
  }
  const { items, next_cursor } = found.value;
  return page({ orders: items, next: next_cursor ?? undefined, errors });
};
