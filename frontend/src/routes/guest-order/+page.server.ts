import { fail, redirect } from '@sveltejs/kit';

import { outcome } from '$lib/server/api';
import { noteShown } from '$lib/server/earlier-order';
import { formKey } from '$lib/server/form-key';
import { recall, viewGuestOrder } from '$lib/server/guest';
import { refuse } from '$lib/server/problem';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async (event) => {
  const { cookies, locals, url } = event;
  const guest = await recall(cookies);
  if (!guest) redirect(303, '/find-order');
  const view = await viewGuestOrder(locals.api, guest);
  if (view.ok || view.problem.kind === 'not-found') {
    await noteShown(event, { kind: 'guest', ...guest });
  }
  if (!view.ok) {
    const { kind } = view.problem;
    if (kind === 'not-found' || kind === 'too-many-tries') redirect(303, `/find-order?${kind}`);
    refuse(view.problem, url);
  }
  return {
    view: view.value,
    placed: url.searchParams.has('placed'),
    already: url.searchParams.has('already'),
  };
};

export const actions: Actions = {
  cancel: async ({ cookies, locals }) => {
    const guest = await recall(cookies);
    if (!guest) redirect(303, '/find-order');
    const cancelled = await outcome(
      locals.api.POST('/v1/guest/orders/cancel', {
        params: { header: { 'Idempotency-Key': formKey('cancel', guest.number) } },
        body: guest,
      }),
    );
    if (cancelled.ok) redirect(303, '/guest-order');
    const tooLate = cancelled.problem.kind === 'order-not-cancellable';
    return fail(tooLate ? 409 : 503, { refusal: tooLate ? 'tooLate' : 'cancelFailed' } as const);
  },
};
