/**
 * The first target of the checkout's form: a cookie records the attempt and its buyer before the
 * API is called. 307 makes the browser send the form on, with and without JavaScript.
 */
import { readIntent, writeIntent } from '$lib/server/checkout-cookie';
import { attempted } from '$lib/server/checkout-intent';
import { OWNER_FIELD } from '$lib/form-owner';

import { buyerOf, isGuests } from '../buyer';
import { check, read } from '../placement';
import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ cookies, locals, request, url }) => {
  const form = await request.formData();
  const { key, values } = read(form);
  const buyer = buyerOf(locals, url, values);
  const isOwn = !locals.session || form.get(OWNER_FIELD) === locals.session.subject;
  const intent = await readIntent(cookies);
  const isWhole = Object.keys(check(values, buyer?.kind === 'guest')).length === 0;
  if (intent && intent.key === key && buyer && isOwn && isWhole) {
    await writeIntent(cookies, attempted(intent, buyer, Date.now()));
  }
  const location = isGuests(locals, url) ? '/checkout?guest' : '/checkout';
  return new Response(null, { status: 307, headers: { location } });
};
