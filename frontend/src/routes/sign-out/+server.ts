import { redirect } from '@sveltejs/kit';

import { forgetDraft } from '$lib/server/draft';
import { end } from '$lib/server/session';

import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ cookies }) => {
  await end(cookies);
  forgetDraft(cookies);
  redirect(303, '/');
};
