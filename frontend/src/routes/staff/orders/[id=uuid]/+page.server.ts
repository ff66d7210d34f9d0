import { fail, redirect } from '@sveltejs/kit';

import { readKey } from '$lib/idempotency';
import { pageOf } from '$lib/next-path';
import { checkReason, tidyReason } from '$lib/reason';
import { outcome } from '$lib/server/api';
import { signInFirst, takeDraft } from '$lib/server/draft';
import { formKey } from '$lib/server/form-key';
import { ownForm } from '$lib/server/own-form';
import { viewOrder } from '$lib/server/order-view';
import { refuse } from '$lib/server/problem';
import { type Refusal, refusalOf } from '$lib/staff';

import type { Actions, PageServerLoad } from './$types';
import { type RefundErrors, readRefund } from './refund';
import { refundKey } from './refund-key';

export const load: PageServerLoad = async ({ cookies, locals, params, url }) => {
  const view = await viewOrder(locals.api, params.id);
  if (!view.ok) refuse(view.problem, url);
  const draft = await takeDraft({ cookies, locals, url });
  return {
    view: view.value,
    key: (draft?.action === 'refund' && draft.fields.key) || refundKey(view.value.order),
    draft,
    done: url.searchParams.get('done'),
  };
};

export const actions: Actions = {
  refund: async (event) => {
    const { locals, params, url } = event;
    const { form } = await ownForm(event);
    const currency = String(form.get('currency') ?? '');
    const key = readKey(form);
    const { cents, values, errors } = readRefund(form, currency);
    const again = (status: number, errors: RefundErrors, refusal?: Refusal, next = key) =>
      fail(status, { refund: { key: next, values, errors, refusal } });
    if (Object.keys(errors).length > 0) return again(422, errors);

    const order = await outcome(
      locals.api.GET('/v1/orders/{id}', { params: { path: { id: params.id } } }),
    );
    if (!order.ok) {
      const { kind } = order.problem;
      return kind === 'unauthorized' ? signInFirst(event, form) : again(409, {}, refusalOf(kind));
    }
    const now = refundKey(order.value);
    if (key !== now) return again(409, {}, 'outdated', now);
    const refund = await outcome(
      locals.api.POST('/v1/orders/{id}/refunds', {
        params: { path: { id: params.id }, header: { 'Idempotency-Key': now } },
        body: {
          currency,
          reason: values.reason,
          ...(cents !== undefined && { amount_cents: cents }),
        },
      }),
    );
    if (refund.ok) {
      const done = refund.value.status === 'pending' ? 'refunded' : 'awaiting';
      redirect(303, `${pageOf(url).page.pathname}?done=${done}`);
    }
    switch (refund.problem.kind) {
      case 'unauthorized':
        return signInFirst(event, form);
      case 'refund-too-large':
        return again(409, { amount: 'tooMuch' });
      default:
        return again(409, {}, refusalOf(refund.problem.kind));
    }
  },

  approve: async (event) => {
    const { locals, url } = event;
    const { form } = await ownForm(event);
    const id = String(form.get('approval') ?? '');
    const approved = await outcome(
      locals.api.POST('/v1/refund-approvals/{id}/approve', {
        params: { path: { id }, header: { 'Idempotency-Key': formKey('approve', id) } },
      }),
    );
    if (approved.ok) redirect(303, `${pageOf(url).page.pathname}?done=approved`);
    if (approved.problem.kind === 'unauthorized') return signInFirst(event, form);
    const refusal = refusalOf(approved.problem.kind);
    return fail(409, { approval: { id, reason: '', error: undefined, refusal } });
  },

  decline: async (event) => {
    const { locals, url } = event;
    const { form } = await ownForm(event);
    const id = String(form.get('approval') ?? '');
    const reason = tidyReason(form.get('reason'));
    const error = checkReason(reason);
    if (error) return fail(422, { approval: { id, reason, error, refusal: undefined } });

    const declined = await outcome(
      locals.api.POST('/v1/refund-approvals/{id}/decline', {
        params: { path: { id } },
        body: { reason },
      }),
    );
    if (declined.ok) redirect(303, `${pageOf(url).page.pathname}?done=declined`);
    if (declined.problem.kind === 'unauthorized') return signInFirst(event, form);
    const refusal = refusalOf(declined.problem.kind);
    return fail(409, { approval: { id, reason, error: undefined, refusal } });
  },

  cancel: async (event) => {
    const { locals, params, url } = event;
    const { form } = await ownForm(event);
    const reason = tidyReason(form.get('reason'));
    const error = checkReason(reason);
    if (error) return fail(422, { cancel: { reason, error, refusal: undefined } });

    const cancelled = await outcome(
      locals.api.POST('/v1/orders/{id}/cancel', {
        params: {
          path: { id: params.id },
          header: { 'Idempotency-Key': formKey('cancel', params.id) },
        },
        body: { reason },
      }),
    );
    // The key was used with another reason, so the order is already cancelled.
    const isDone = cancelled.ok || cancelled.problem.kind === 'idempotency-key-reused';
    if (isDone) redirect(303, `${pageOf(url).page.pathname}?done=cancelled`);
    if (cancelled.problem.kind === 'unauthorized') return signInFirst(event, form);
    const refusal = refusalOf(cancelled.problem.kind);
    return fail(409, { cancel: { reason, error: undefined, refusal } });
  },
};
