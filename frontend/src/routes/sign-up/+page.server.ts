import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { signIn, signUp } from '$lib/server/cognito';
import { begin } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals, url }) => {
  const next = nextPath(url.searchParams.get('next'));
  if (locals.session) redirect(303, next);
  return { next };
};

export const actions: Actions = {
  default: async ({ cookies, locals, request }) => {
    const form = await request.formData();
    const email = readText(form, 'email').trim();
    const password = readText(form, 'password');
    const next = nextPath(readText(form, 'next'));
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    if (!password) return fail(422, { email, error: 'weak-password' as const });

    const account = await signUp(email, password, locals.language);
    if (!account.ok) return fail(400, { email, error: account.refusal });
    if (!account.value.confirmed) {
      redirect(303, `/sign-up/confirm?${new URLSearchParams({ email, next })}`);
    }
    const signedIn = await signIn(email, password);
    if (!signedIn.ok) return fail(400, { email, error: signedIn.refusal });
    // A new account has no second factor yet.
    if ('tokens' in signedIn.value) await begin(cookies, signedIn.value.tokens);
    redirect(303, next);
  },
};
