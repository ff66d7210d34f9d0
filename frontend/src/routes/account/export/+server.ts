import { error, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { type Api, type PersonExport, outcome } from '$lib/server/api';
import { refuse } from '$lib/server/problem';

import type { RequestHandler } from './$types';

/** Orders per page of the API, and the maximum number of pages in a copy. */
const PAGE = 100;
const MAX_PAGES = 50;

/** All data about the person who is signed in, as a file. */
export const GET: RequestHandler = async ({ locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  const copy = await exportAll(locals.api, url);
  return new Response(JSON.stringify(copy, undefined, 2), {
    headers: {
      'content-type': 'application/json',
      'content-disposition': 'attachment; filename="my-data.json"',
      'cache-control': 'no-store',
    },
  });
};

async function exportAll(api: Api, url: URL): Promise<Omit<PersonExport, 'next_cursor'>> {
  const orders: PersonExport['orders'] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = { limit: PAGE, ...(cursor && { cursor }) };
    const part = await outcome(api.GET('/v1/me/export', { params: { query } }));
    if (!part.ok) refuse(part.problem, url);
    const { next_cursor, ...copy } = part.value;
    orders.push(...copy.orders);
    if (!next_cursor) return { ...copy, orders };
    cursor = next_cursor;
  }
  // An incomplete copy would look complete. Support can export so many orders with the API.
  error(503, 'unavailable');
}
