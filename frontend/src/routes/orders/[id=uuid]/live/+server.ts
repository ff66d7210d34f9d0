/** The current order, for the page that polls it. */
import { error, json } from '@sveltejs/kit';

import { viewOrder } from '$lib/server/order-view';

import type { RequestHandler } from './$types';

export const GET: RequestHandler = async ({ locals, params }) => {
  const view = await viewOrder(locals.api, params.id);
  if (!view.ok) error(view.problem.kind === 'not-found' ? 404 : 503, view.problem.kind);
  return json(view.value, { headers: { 'cache-control': 'no-store' } });
};
