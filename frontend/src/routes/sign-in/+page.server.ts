import { fail, redirect } from '@sveltejs/kit';

import { mayHaveAccount } from '$lib/email';
import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { addressOf, forgetAddress, keepAddress } from '$lib/server/address-cookie';
import { accountOf, hasFailed, hasSucceeded, mayTry } from '$lib/server/attempts';
import { keepChallenge } from '$lib/server/challenge';
import { type Refusal, signIn } from '$lib/server/cognito';
import { remember } from '$lib/server/known-accounts';
import { begin } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

/** The changes to an account that end every session and lead here. */
const DONE = ['deleted', 'password', 'second-factor', 'no-second-factor'] as const;

export const load: PageServerLoad = async ({ cookies, locals, url }) => {
  const next = nextPath(url.searchParams.get('next'));
  if (locals.session) redirect(303, next);
  return {
    next,
    guestCheckout: next === '/checkout' ? '/checkout?guest' : undefined,
    email: await addressOf(cookies),
    confirmed: url.searchParams.has('confirmed'),
    reset: url.searchParams.has('reset'),
    lapsed: url.searchParams.has('lapsed'),
    done: DONE.find((done) => done === url.searchParams.get('done')),
  };
};

export const actions: Actions = {
  default: async (event) => {
    const { cookies, request } = event;
    const form = await request.formData();
    const email = readText(form, 'email').trim();
    const password = readText(form, 'password');
    if (!mayHaveAccount(email)) return fail(422, { email, error: 'email' as const });
    if (!password) return fail(422, { email, error: 'password' as const });
    if (!(await mayTry(event, 'sign-in', email))) {
      return fail(429, { email, error: 'too-many-attempts' as const });
    }

    const signedIn = await signIn(email, password);
    if (!signedIn.ok) {
      hasFailed('sign-in', email, signedIn.refusal);
      await keepAddress(cookies, email);
      return fail(400, { email, error: hidden(signedIn.refusal) });
    }
    await hasSucceeded(event, 'sign-in', email);
    forgetAddress(cookies);
    const next = nextPath(readText(form, 'next'));
    if ('challenge' in signedIn.value) {
      await keepChallenge(cookies, { ...signedIn.value.challenge, email });
      redirect(303, `/sign-in/code?${new URLSearchParams({ next })}`);
    }
    await begin(cookies, signedIn.value.tokens);
    await remember(cookies, accountOf(email));
    redirect(303, next);
  },
};

/**
 * Cognito reports an unconfirmed account whatever the password, which would reveal that it exists.
 */
function hidden(refusal: Refusal): Refusal {
  return refusal === 'unconfirmed' ? 'wrong-credentials' : refusal;
}
