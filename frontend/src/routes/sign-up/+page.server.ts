import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { keepAddress } from '$lib/server/address-cookie';
import { accountOf, mayTry } from '$lib/server/attempts';
import { remindOfAccount, signIn, signUp } from '$lib/server/cognito';
import { remember } from '$lib/server/known-accounts';
import { log } from '$lib/server/log';
import { isAcceptable } from '$lib/server/password-rules';
import { begin } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals, url }) => {
  const next = nextPath(url.searchParams.get('next'));
  if (locals.session) redirect(303, next);
  return { next };
};

export const actions: Actions = {
  default: async (event) => {
    const { cookies, locals, request } = event;
    const form = await request.formData();
    const email = readText(form, 'email').trim();
    const password = readText(form, 'password');
    const next = nextPath(readText(form, 'next'));
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    if (!isAcceptable(password, email)) {
      return fail(422, { email, error: 'weak-password' as const });
    }
    if (!(await mayTry(event, 'sign-up', email))) {
      return fail(429, { email, error: 'too-many-attempts' as const });
    }

    const account = await signUp(email, password, locals.language);
    await keepAddress(cookies, email);
    const toConfirm = `/sign-up/confirm?${new URLSearchParams({ next })}`;
    if (!account.ok) {
      if (account.refusal !== 'user-exists') return fail(400, { email, error: account.refusal });
      // The page is the same as for a new account. Only the owner of the address learns, by mail,
      // that there is one.
      const reminded = await remindOfAccount(email);
      if (!reminded.ok) log('WARN', 'sign_up.not_reminded', { reason: reminded.refusal });
      redirect(303, toConfirm);
    }
    if (!account.value.confirmed) redirect(303, toConfirm);
    const signedIn = await signIn(email, password);
    if (!signedIn.ok) return fail(400, { email, error: signedIn.refusal });
    // A new account has no second factor yet.
    if ('tokens' in signedIn.value) {
      await begin(cookies, signedIn.value.tokens);
      await remember(cookies, accountOf(email));
    }
    redirect(303, next);
  },
};
