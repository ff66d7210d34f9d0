import { redirect } from '@sveltejs/kit';

import { outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';

const PAGE = 12;

export const load: PageServerLoad = async ({ locals, url }) => {
  const cursor = url.searchParams.get('cursor') || undefined;
  const query = { limit: PAGE, ...(cursor && { cursor }) };
  const list = await outcome(locals.api.GET('/v1/orders', { params: { query } }));
  if (!list.ok) {
    if (list.problem.kind === 'invalid-cursor') redirect(303, '/orders');
    refuse(list.problem, url);
  }
  return {
    orders: list.value.items,
    next: list.value.next_cursor ?? undefined,
    isFirst: cursor === undefined,
  };
};
