import { fail, redirect } from '@sveltejs/kit';

import { outcome } from '$lib/server/api';
import { noteShown } from '$lib/server/earlier-order';
import { formKey } from '$lib/server/form-key';
import { viewOrder } from '$lib/server/order-view';
import { ownForm } from '$lib/server/own-form';
import { refuse } from '$lib/server/problem';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async (event) => {
  const { locals, params, url } = event;
  const view = await viewOrder(locals.api, params.id);
  if (view.ok || view.problem.kind === 'not-found') {
    await noteShown(event, { kind: 'account', id: params.id });
  }
  if (!view.ok) refuse(view.problem, url);
  return {
    view: view.value,
    placed: url.searchParams.has('placed'),
    already: url.searchParams.has('already'),
  };
};

export const actions: Actions = {
  cancel: async (event) => {
    const { locals, params } = event;
    await ownForm(event);
    const cancelled = await outcome(
      locals.api.POST('/v1/orders/{id}/cancel', {
        params: {
          path: { id: params.id },
          header: { 'Idempotency-Key': formKey('cancel', params.id) },
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
