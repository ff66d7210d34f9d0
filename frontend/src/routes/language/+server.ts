import { redirect } from '@sveltejs/kit';

import { isLanguage } from '$lib/i18n/language';
import { nextPath } from '$lib/next-path';
import { chooseLanguage } from '$lib/server/language-cookie';

import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ cookies, request }) => {
  const form = await request.formData();
  const language = form.get('language');
  if (isLanguage(language)) chooseLanguage(cookies, language);
  redirect(303, nextPath(form.get('next')));
};
