import { forgetChallenge } from '$lib/server/challenge';
import { forgetDraft } from '$lib/server/draft';
import { end } from '$lib/server/session';

import type { RequestHandler } from './$types';

/**
 * Not `"cookies"`: that would remove the cart and the language, and the cookies of every other host
 * of the domain. Not `"cache"`: personal pages are never cached.
 */
const CLEARED = '"storage"';

export const POST: RequestHandler = async ({ cookies }) => {
  await end(cookies);
  forgetDraft(cookies);
  forgetChallenge(cookies);
  return new Response(null, {
    status: 303,
    headers: { location: '/', 'clear-site-data': CLEARED },
  });
};
