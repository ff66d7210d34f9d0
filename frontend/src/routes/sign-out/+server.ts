import { redirect } from '@sveltejs/kit';

import { end } from '$lib/server/session';

import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ cookies }) => {
  await end(cookies);
  redirect(303, '/');
};
