import { redirect } from '@sveltejs/kit';

import { type Api, type FoundOrder, type RefundApproval, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';
import { openSearch, sealSearch, searching } from '$lib/server/sealed-search';

import type { Actions, PageServerLoad } from './$types';
import { type SearchErrors, fieldOf, readSearch, toQuery } from './search';

const PAGE = 24;
const PATH = '/staff/orders';

type Page = { orders: FoundOrder[]; next?: string; errors: SearchErrors };

type Approvals = { items: RefundApproval[]; areMore: boolean };

const NO_APPROVALS: Approvals = { items: [], areMore: false };

export const load: PageServerLoad = async ({ locals, url }) => {
  const sought = await openSearch(url);
  const search = readSearch(sought.search);
  const { query, errors } = toQuery(search);
  const { cursor } = sought;
  const approvals = locals.session?.scopes.includes('orders:refund-any-amount')
    ? await openApprovals(locals.api)
    : NO_APPROVALS;
  const page = async ({ orders, next, errors }: Page) => ({
    orders,
    errors,
    approvals,
    search,
    next: next && (await sealSearch(PATH, search, next)),
    first: cursor && (await sealSearch(PATH, search)),
  });
  const nothing = (errors: SearchErrors) => page({ orders: [], errors });
  if (Object.keys(errors).length > 0) return nothing(errors);

  const found = await outcome(
    locals.api.POST('/v1/orders/search', {
      body: { ...query, limit: PAGE, ...(cursor && { cursor }) },
    }),
  );
  if (!found.ok) {
    const { kind } = found.problem;
    if (kind === 'invalid-cursor') redirect(303, await sealSearch(PATH, search));
    if (kind === 'validation') return nothing({ [fieldOf(found.problem.field)]: true });
    refuse(found.problem, url);
  }
  const { items, next_cursor } = found.value;
  return page({ orders: items, errors, ...(next_cursor && { next: next_cursor }) });
};

export const actions: Actions = { default: searching(readSearch) };
/** The oldest refunds that await approval. If they cannot be loaded, the search still works. */
async function openApprovals(api: Api): Promise<Approvals> {
  const list = await outcome(
    api.GET('/v1/refund-approvals', { params: { query: { limit: PAGE } } }),
  );
  if (!list.ok) return NO_APPROVALS;
  return { items: list.value.items, areMore: Boolean(list.value.next_cursor) };
}
