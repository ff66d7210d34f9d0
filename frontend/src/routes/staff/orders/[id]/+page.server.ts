import { randomUUID } from 'node:crypto';

import { fail, redirect } from '@sveltejs/kit';

import { readKey } from '$lib/idempotency';
import { pageOf } from '$lib/next-path';
import { checkReason, tidyReason } from '$lib/reason';
import { outcome } from '$lib/server/api';
import { signInFirst, takeDraft } from '$lib/server/draft';
import { ownForm } from '$lib/server/own-form';
import { viewOrder } from '$lib/server/order-view';
import { refuse } from '$lib/server/problem';
import { type Refusal, refusalOf } from '$lib/staff';

import type { Actions, PageServerLoad } from './$types';
import { type RefundErrors, readRefund } from './refund';

export const load: PageServerLoad = async ({ cookies, locals, params, url }) => {
  const view = await viewOrder(locals.api, params.id);
  if (!view.ok) refuse(view.problem, url);
  const draft = await takeDraft({ cookies, locals, url });
  return {
    view: view.value,
    key: (draft?.action === 'refund' && draft.fields.key) || randomUUID(),
    cancelKey: randomUUID(),
    draft,
    done: url.searchParams.get('done'),
  };
};

export const actions: Actions = {
  refund: async (event) => {
    const { locals, params, url } = event;
    const { form } = await ownForm(event);
    const currency = String(form.get('currency') ?? '');
    const key = readKey(form) ?? randomUUID();
    const { cents, values, errors } = readRefund(form, currency);
    const again = (status: number, errors: RefundErrors, refusal?: Refusal) =>
      fail(status, { refund: { key, values, errors, refusal } });
    if (Object.keys(errors).length > 0) return again(422, errors);

    const refund = await outcome(
      locals.api.POST('/v1/orders/{id}/refunds', {
        params: { path: { id: params.id }, header: { 'Idempotency-Key': key } },
        body: {
          currency,
          reason: values.reason,
          ...(cents !== undefined && { amount_cents: cents }),
        },
      }),
    );
    if (refund.ok) redirect(303, `${pageOf(url).page.pathname}?done=refunded`);
    switch (refund.problem.kind) {
      case 'unauthorized':
        return signInFirst(event, form);
      case 'refund-too-large':
        return again(409, { amount: 'tooMuch' });
      default:
        return again(409, {}, refusalOf(refund.problem.kind));
    }
  },

  cancel: async (event) => {
    const { locals, params, url } = event;
    const { form } = await ownForm(event);
    const key = readKey(form) ?? randomUUID();
    const reason = tidyReason(form.get('reason'));
    const error = checkReason(reason);
    if (error) return fail(422, { cancel: { key, reason, error, refusal: undefined } });

    const cancelled = await outcome(
      locals.api.POST('/v1/orders/{id}/cancel', {
        params: { path: { id: params.id }, header: { 'Idempotency-Key': key } },
        body: { reason },
      }),
    );
    if (cancelled.ok) redirect(303, `${pageOf(url).page.pathname}?done=cancelled`);
    if (cancelled.problem.kind === 'unauthorized') return signInFirst(event, form);
    const refusal = refusalOf(cancelled.problem.kind);
    return fail(409, { cancel: { key, reason, error: undefined, refusal } });
  },
};
