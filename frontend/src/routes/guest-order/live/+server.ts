/** The current order, for the guest's page that polls it. */
import { error, json } from '@sveltejs/kit';

import { recall, viewGuestOrder } from '$lib/server/guest';

import type { RequestHandler } from './$types';

export const GET: RequestHandler = async ({ cookies, locals }) => {
  const guest = await recall(cookies);
  if (!guest) error(401, 'unauthorized');
  const view = await viewGuestOrder(locals.api, guest);
  if (!view.ok) error(view.problem.kind === 'not-found' ? 404 : 503, view.problem.kind);
  return json(view.value, { headers: { 'cache-control': 'no-store' } });
};
