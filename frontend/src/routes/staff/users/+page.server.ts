import { redirect } from '@sveltejs/kit';

import { type User, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';
import { openSearch, sealSearch, searching } from '$lib/server/sealed-search';

import type { Actions, PageServerLoad } from './$types';
import { readSearch, toQuery } from './search';

const PAGE = 24;
const PATH = '/staff/users';

export const load: PageServerLoad = async ({ locals, url }) => {
  const sought = await openSearch(url);
  const search = readSearch(sought.search);
  const { cursor } = sought;
  const page = async (users: User[], next: string | undefined, wrong: boolean) => ({
    users,
    next: next && (await sealSearch(PATH, search, next)),
    first: cursor && (await sealSearch(PATH, search)),
    search,
    wrong,
  });

  const found = await outcome(
    locals.api.POST('/v1/users/search', {
      body: { ...toQuery(search), limit: PAGE, ...(cursor && { cursor }) },
    }),
  );
  if (found.ok) return page(found.value.items, found.value.next_cursor ?? undefined, false);
  const { kind } = found.problem;
  if (kind === 'invalid-cursor') redirect(303, await sealSearch(PATH, search));
  if (kind === 'validation') return page([], undefined, true);
  return refuse(found.problem, url);
};

export const actions: Actions = { default: searching(readSearch) };
