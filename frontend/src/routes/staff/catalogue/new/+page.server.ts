import { error, fail, redirect } from '@sveltejs/kit';

import { isSku } from '$lib/ids';
import { type Api, outcome } from '$lib/server/api';
import { formOf, signInFirst, takeDraft } from '$lib/server/draft';
import { ownForm } from '$lib/server/own-form';
import { refuse } from '$lib/server/problem';
import { type Refusal, refusalOf } from '$lib/staff';

import { type Values, draftOf, fieldOf, readValues } from '../product-form';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies, locals, url }) => {
  const category = await categoryOf(locals.api, url);
  const draft = await takeDraft({ cookies, locals, url });
  return {
    category,
    values: draft ? readValues(formOf(draft), category.attributes) : {},
    restored: draft !== undefined,
  };
};

export const actions: Actions = {
  save: async (event) => {
    const { locals, url } = event;
    const { form } = await ownForm(event);
    const category = await categoryOf(locals.api, url);
    const values = readValues(form, category.attributes);
    const again = (status: number, wrong: string[], refusal?: Refusal, taken = false) =>
      fail(status, { values: values as Values, wrong, refusal, taken });

    const { sku } = values;
    if (!isSku(sku)) return again(422, ['sku']);
    const made = await outcome(
      locals.api.PUT('/v1/products/{sku}', {
        params: { path: { sku }, header: { 'If-None-Match': '*' } },
        body: draftOf(values, category.id, category.attributes),
      }),
    );
    if (made.ok) redirect(303, `/staff/catalogue/${sku}?done=saved`);
    const { kind, fields } = made.problem;
    if (kind === 'unauthorized') return signInFirst(event, form);
    if (kind === 'validation') return again(422, fields.map(fieldOf));
    if (kind === 'precondition-failed') return again(409, [], undefined, true);
    return again(409, [], refusalOf(kind));
  },
};

/** The category in the page's URL. */
async function categoryOf(api: Api, url: URL) {
  const categories = await outcome(api.GET('/v1/categories'));
  if (!categories.ok) refuse(categories.problem, url);
  const wanted = url.searchParams.get('category');
  const category = categories.value.items.find(({ id }) => id === wanted);
  return category ?? error(404, 'not-found');
}
