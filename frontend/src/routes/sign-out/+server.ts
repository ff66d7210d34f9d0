import { forgetChallenge } from '$lib/server/challenge';
import { forgetDraft } from '$lib/server/draft';
import { end } from '$lib/server/session';

import type { RequestHandler } from './$types';

/**
 * Not `"cookies"`: that would take the cart and the language, which are the browser's, and the cookies
 * of every other host of the domain. Not `"cache"`: no page of a person's is stored in one.
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
