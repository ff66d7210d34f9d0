import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { keepChallenge } from '$lib/server/challenge';
import { signIn } from '$lib/server/cognito';
import { begin } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals, url }) => {
  const next = nextPath(url.searchParams.get('next'));
  if (locals.session) redirect(303, next);
  return {
    next,
    guestCheckout: next === '/checkout' ? '/checkout?guest' : undefined,
    email: url.searchParams.get('email') ?? '',
    confirmed: url.searchParams.has('confirmed'),
    reset: url.searchParams.has('reset'),
    lapsed: url.searchParams.has('lapsed'),
  };
};

export const actions: Actions = {
  default: async ({ cookies, request }) => {
    const form = await request.formData();
    const email = readText(form, 'email').trim();
    const password = readText(form, 'password');
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    if (!password) return fail(422, { email, error: 'password' as const });

    const signedIn = await signIn(email, password);
    if (!signedIn.ok) return fail(400, { email, error: signedIn.refusal });
    const next = nextPath(readText(form, 'next'));
    if ('challenge' in signedIn.value) {
      await keepChallenge(cookies, signedIn.value.challenge);
      redirect(303, `/sign-in/code?${new URLSearchParams({ next })}`);
    }
    await begin(cookies, signedIn.value.tokens);
    redirect(303, next);
  },
};
