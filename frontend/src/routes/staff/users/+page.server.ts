import { redirect } from '@sveltejs/kit';

import { type User, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';
import { hrefOf, readSearch, toQuery } from './search';

const PAGE = 24;

export const load: PageServerLoad = async ({ locals, url }) => {
  const search = readSearch(url.searchParams);
  const cursor = url.searchParams.get('cursor') || undefined;
  const page = (users: User[], next: string | undefined, wrong: boolean) => ({
    users,
    next: next && hrefOf(search, next),
    first: cursor && hrefOf(search),
    search,
    wrong,
  });

  const found = await outcome(
    locals.api.GET('/v1/users', {
      params: { query: { ...toQuery(search), limit: PAGE, ...(cursor && { cursor }) } },
    }),
  );
  if (found.ok) return page(found.value.items, found.value.next_cursor ?? undefined, false);
  const { kind } = found.problem;
  if (kind === 'invalid-cursor') redirect(303, hrefOf(search));
  if (kind === 'validation') return page([], undefined, true);
  return refuse(found.problem, url);
};
