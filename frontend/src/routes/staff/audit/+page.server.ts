import { redirect } from '@sveltejs/kit';

import { type AuditRow, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';
import { openSearch, sealSearch, searching } from '$lib/server/sealed-search';

import type { Actions, PageServerLoad } from './$types';
import { type SearchErrors, fieldOf, readSearch, toQuery } from './search';

const PAGE = 24;
const PATH = '/staff/audit';

type Found = { rows: AuditRow[]; next?: string | null | undefined; errors: SearchErrors };

export const load: PageServerLoad = async ({ locals, url }) => {
  const sought = await openSearch(url);
  const search = readSearch(sought.search);
  const { query, errors } = toQuery(search);
  const { cursor } = sought;
  const page = async ({ rows, next, errors }: Found) => ({
    rows,
    errors,
    search,
    next: next ? await sealSearch(PATH, search, next) : undefined,
    first: cursor && (await sealSearch(PATH, search)),
  });
  if (Object.keys(errors).length > 0) return page({ rows: [], errors });

  const found = await outcome(
    locals.api.POST('/v1/audit/search', {
      body: { ...query, limit: PAGE, ...(cursor && { cursor }) },
    }),
  );
  if (found.ok) return page({ rows: found.value.items, next: found.value.next_cursor, errors });
  const { kind, field } = found.problem;
  if (kind === 'invalid-cursor') redirect(303, await sealSearch(PATH, search));
  if (kind === 'validation') return page({ rows: [], errors: { [fieldOf(field)]: true } });
  return refuse(found.problem, url);
};

export const actions: Actions = { default: searching(readSearch) };
