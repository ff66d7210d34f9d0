/**
 * Starts a new order although the outcome of the earlier attempt is not known: the shopper has
 * decided so. Ends only the attempt that the form was shown for.
 */
import { readKey } from '$lib/idempotency';
import { newKey, readIntent, writeIntent } from '$lib/server/checkout-cookie';
import { settled } from '$lib/server/checkout-intent';

import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ cookies, request, url }) => {
  const key = readKey(await request.formData());
  const intent = await readIntent(cookies);
  if (intent && intent.key === key) {
    await writeIntent(cookies, { ...settled(intent), key: newKey() });
  }
  const location = url.searchParams.has('guest') ? '/checkout?guest' : '/checkout';
  return new Response(null, { status: 303, headers: { location } });
};
