/** The current state of the console, for the page that polls it. */
import { error, json } from '@sveltejs/kit';

import { viewOperations } from '$lib/server/operations-view';

import { readQuery } from '../query';
import type { RequestHandler } from './$types';

export const GET: RequestHandler = async ({ locals, url }) => {
  const scopes = locals.session?.scopes ?? [];
  const view = await viewOperations(locals.api, scopes, readQuery(url.searchParams));
  if (!view.ok) error(view.problem.kind === 'unauthorized' ? 401 : 404, view.problem.kind);
  return json(view.value, { headers: { 'cache-control': 'no-store' } });
};
