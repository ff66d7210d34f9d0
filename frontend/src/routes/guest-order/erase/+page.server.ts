import { fail, redirect } from '@sveltejs/kit';

import { outcome } from '$lib/server/api';
import { forgetGuest, recall } from '$lib/server/guest';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies, url }) => {
  const guest = await recall(cookies);
  const isDone = !guest && url.searchParams.has('done');
  if (!guest && !isDone) redirect(303, '/find-order');
  return { isDone, number: guest?.number ?? '' };
};

export const actions: Actions = {
  default: async ({ cookies, locals }) => {
    const guest = await recall(cookies);
    if (!guest) redirect(303, '/find-order');
    const erased = await outcome(locals.api.POST('/v1/guest/orders/erase', { body: guest }));
    if (erased.ok) {
      forgetGuest(cookies);
      redirect(303, '/guest-order/erase?done');
    }
    const { kind } = erased.problem;
    if (kind === 'not-found') redirect(303, '/find-order?not-found');
    if (kind === 'orders-under-way') return fail(409, { error: kind });
    return fail(503, { error: 'unavailable' as const });
  },
};
