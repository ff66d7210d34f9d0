import { redirect } from '@sveltejs/kit';

import { type AuditRow, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';
import { type SearchErrors, fieldOf, hrefOf, readSearch, toQuery } from './search';

const PAGE = 24;

type Found = { rows: AuditRow[]; next?: string | null | undefined; errors: SearchErrors };

export const load: PageServerLoad = async ({ locals, url }) => {
  const search = readSearch(url.searchParams);
  const { query, errors } = toQuery(search);
  const cursor = url.searchParams.get('cursor') || undefined;
  const page = ({ rows, next, errors }: Found) => ({
    rows,
    errors,
    search,
    next: next ? hrefOf(search, next) : undefined,
    first: cursor && hrefOf(search),
  });
  if (Object.keys(errors).length > 0) return page({ rows: [], errors });

  const found = await outcome(
    locals.api.GET('/v1/audit', {
      params: { query: { ...query, limit: PAGE, ...(cursor && { cursor }) } },
    }),
  );
  if (found.ok) return page({ rows: found.value.items, next: found.value.next_cursor, errors });
  const { kind, field } = found.problem;
  if (kind === 'invalid-cursor') redirect(303, hrefOf(search));
  if (kind === 'validation') return page({ rows: [], errors: { [fieldOf(field)]: true } });
  return refuse(found.problem, url);
};
