import { randomUUID } from 'node:crypto';

import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { outcome } from '$lib/server/api';
import { viewOrder } from '$lib/server/order-view';
import { ownForm } from '$lib/server/own-form';
import { refuse } from '$lib/server/problem';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals, params, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  const view = await viewOrder(locals.api, params.id);
  if (!view.ok) refuse(view.problem, url);
  return {
    view: view.value,
    placed: url.searchParams.has('placed'),
    cancelKey: randomUUID(),
  };
};

export const actions: Actions = {
  cancel: async (event) => {
    const { locals, params } = event;
    const { form } = await ownForm(event);
    const key = form.get('key');
    const cancelled = await outcome(
      locals.api.POST('/v1/orders/{id}/cancel', {
        params: {
          path: { id: params.id },
          header: { 'Idempotency-Key': typeof key === 'string' && key ? key : randomUUID() },
        },
      }),
    );
    if (!cancelled.ok) {
      const tooLate = cancelled.problem.kind === 'order-not-cancellable';
      return fail(tooLate ? 409 : 503, { refusal: tooLate ? 'tooLate' : 'cancelFailed' } as const);
    }
    redirect(303, `/orders/${params.id}`);
  },
};
