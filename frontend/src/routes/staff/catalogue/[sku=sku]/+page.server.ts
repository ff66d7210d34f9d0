import { error, fail, redirect } from '@sveltejs/kit';

import { readKey } from '$lib/idempotency';
import { pageOf } from '$lib/next-path';
import { type ReasonError, checkReason, tidyReason } from '$lib/reason';
import { type Api, type Result, outcome } from '$lib/server/api';
import { formOf, signInFirst, takeDraft } from '$lib/server/draft';
import { formKey } from '$lib/server/form-key';
import { ownForm } from '$lib/server/own-form';
import { readDocument } from '$lib/server/product-document';
import { refuse } from '$lib/server/problem';
import { type Refusal, refusalOf } from '$lib/staff';

import { type Values, draftOf, fieldOf, readValues, valuesOf } from '../product-form';
import type { Actions, PageServerLoad } from './$types';

/** Stock adjustments per page. */
const ADJUSTMENTS = 10;

export const load: PageServerLoad = async ({ cookies, locals, params, url }) => {
  const { sku } = params;
  const scopes = locals.session?.scopes ?? [];
  const older = url.searchParams.get('older');
  const [document, stock, adjustments, last] = await Promise.all([
    readDocument(locals.api, sku),
    outcome(locals.api.GET('/v1/stock/{sku}', { params: { path: { sku } } })),
    outcome(
      locals.api.GET('/v1/stock/{sku}/adjustments', {
        params: { path: { sku }, query: { limit: ADJUSTMENTS, ...(older && { cursor: older }) } },
      }),
    ),
    lastAdjustment(locals.api, sku),
  ]);
  if (!document.ok) refuse(document.problem, url);
  if (!adjustments.ok && adjustments.problem.kind === 'invalid-cursor') redirect(303, url.pathname);
  const { draft, tag } = document.value;
  const attributes = await attributesOf(locals.api, draft.category, url);
  const kept = await takeDraft({ cookies, locals, url });
  return {
    sku,
    attributes,
    tag: kept?.fields.tag ?? tag,
    values:
      kept?.action === 'save'
        ? readValues(formOf(kept), attributes)
        : valuesOf(draft, locals.language),
    kept,
    title: draft.title,
    stock: stock.ok ? stock.value.available : undefined,
    adjustments: adjustments.ok ? adjustments.value : { items: [], next_cursor: undefined },
    adjustKey:
      (kept?.action === 'adjust' && kept.fields.key) || (last.ok ? adjustKey(sku, last.value) : ''),
    mayAdjust: scopes.includes('stock:write'),
    done: url.searchParams.get('done'),
  };
};

type Saved = { values: Values; tag: string; wrong: string[]; theirs?: Values; refusal?: Refusal };
type Adjusted = { delta: string; reason: string; key: string | undefined } & {
  deltaWrong?: true;
  error?: ReasonError;
  refusal?: Refusal;
};

export const actions: Actions = {
  save: async (event) => {
    const { locals, params, url } = event;
    const { form } = await ownForm(event);
    const { sku } = params;
    const now = await readDocument(locals.api, sku);
    if (!now.ok) refuse(now.problem, url);
    const { category } = now.value.draft;
    const attributes = await attributesOf(locals.api, category, url);
    const values = readValues(form, attributes);
    const tag = String(form.get('tag') ?? '');
    const again = (status: number, it: Partial<Saved>) =>
      fail(status, { save: { values, tag, wrong: [], ...it } as Saved });

    const saved = await outcome(
      locals.api.PUT('/v1/products/{sku}', {
        params: { path: { sku }, header: { 'If-Match': tag } },
        body: draftOf(values, category, attributes),
      }),
    );
    if (saved.ok) redirect(303, `${pageOf(url).page.pathname}?done=saved`);
    const { kind, fields } = saved.problem;
    if (kind === 'unauthorized') return signInFirst(event, form);
    if (kind === 'validation') return again(422, { wrong: fields.map(fieldOf) });
    // If it is saved again, it overwrites the version shown here, and none that came after.
    if (kind === 'precondition-failed') {
      return again(409, { tag: now.value.tag, theirs: valuesOf(now.value.draft, locals.language) });
    }
    return again(409, { refusal: refusalOf(kind) });
  },

  remove: async (event) => {
    const { locals, params } = event;
    const { form } = await ownForm(event);
    const removed = await outcome(
      locals.api.DELETE('/v1/products/{sku}', {
        params: {
          path: { sku: params.sku },
          header: { 'If-Match': String(form.get('tag') ?? '') },
        },
      }),
    );
    if (removed.ok) redirect(303, '/staff/catalogue?done=removed');
    if (removed.problem.kind === 'unauthorized') return signInFirst(event, form);
    return fail(409, { remove: { refusal: refusalOf(removed.problem.kind) } });
  },

  adjust: async (event) => {
    const { locals, params, url } = event;
    const { form } = await ownForm(event);
    const key = readKey(form);
    const delta = String(form.get('delta') ?? '').trim();
    const reason = tidyReason(form.get('reason'));
    const error = checkReason(reason);
    const again = (status: number, it: Partial<Adjusted>) =>
      fail(status, { adjust: { key, delta, reason, ...it } as Adjusted });
    const deltaWrong = !/^[+-]?\d{1,7}$/.test(delta) || Number(delta) === 0;
    if (deltaWrong || error) {
      return again(422, { ...(deltaWrong && { deltaWrong }), ...(error && { error }) });
    }
    const last = await lastAdjustment(locals.api, params.sku);
    if (!last.ok) {
      const { kind } = last.problem;
      return kind === 'unauthorized'
        ? signInFirst(event, form)
        : again(409, { refusal: refusalOf(kind) });
    }
    const now = adjustKey(params.sku, last.value);
    if (key !== now) return again(409, { refusal: 'outdated', key: now });

    const adjusted = await outcome(
      locals.api.POST('/v1/stock/{sku}/adjustments', {
        params: { path: { sku: params.sku }, header: { 'Idempotency-Key': now } },
        body: { delta: Number(delta), reason },
      }),
    );
    if (adjusted.ok) redirect(303, `${pageOf(url).page.pathname}?done=adjusted`);
    const { kind } = adjusted.problem;
    if (kind === 'unauthorized') return signInFirst(event, form);
    return kind === 'validation'
      ? again(422, { deltaWrong: true })
      : again(409, { refusal: refusalOf(kind) });
  },
};

/** The id of the last stock adjustment, if there is one. */
async function lastAdjustment(api: Api, sku: string): Promise<Result<string | undefined>> {
  const params = { path: { sku }, query: { limit: 1 } };
  const page = await outcome(api.GET('/v1/stock/{sku}/adjustments', { params }));
  return page.ok ? { ok: true, value: page.value.items[0]?.id } : page;
}

/**
 * The idempotency key of the next adjustment, made from the id of the last one. A form that was
 * shown before the last adjustment is out of date; the same form sent twice adjusts once. Orders
 * change the stock, too, but do not outdate a form.
 */
function adjustKey(sku: string, last: string | undefined): string {
  return formKey('adjust', sku, last ?? '');
}

/** The attributes of a category, in display order. */
async function attributesOf(api: Api, category: string, url: URL) {
  const categories = await outcome(api.GET('/v1/categories'));
  if (!categories.ok) refuse(categories.problem, url);
  const found = categories.value.items.find(({ id }) => id === category);
  return found?.attributes ?? error(404, 'not-found');
}
