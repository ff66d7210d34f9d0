import { fail, redirect } from '@sveltejs/kit';

import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { accountOf, hasFailed, hasSucceeded, mayTry } from '$lib/server/attempts';
import { challengeOf, forgetChallenge } from '$lib/server/challenge';
import { answerChallenge } from '$lib/server/cognito';
import { remember } from '$lib/server/known-accounts';
import { begin } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies, locals, url }) => {
  const next = nextPath(url.searchParams.get('next'));
  if (locals.session) redirect(303, next);
  if (!(await challengeOf(cookies))) redirect(303, lapsed(next));
  return { next };
};

export const actions: Actions = {
  default: async (event) => {
    const { cookies, request } = event;
    const form = await request.formData();
    const next = nextPath(readText(form, 'next'));
    const code = readText(form, 'code').replace(/\s/g, '');
    const challenge = await challengeOf(cookies);
    if (!challenge) redirect(303, lapsed(next));
    if (!code) return fail(422, { error: 'wrong-code' as const });
    if (!(await mayTry(event, 'code', challenge.email))) {
      return fail(429, { error: 'too-many-attempts' as const });
    }

    const tokens = await answerChallenge(challenge, code);
    if (!tokens.ok) {
      hasFailed('code', challenge.email, tokens.refusal);
      if (tokens.refusal === 'wrong-code' || tokens.refusal === 'expired-code') {
        return fail(400, { error: 'wrong-code' as const });
      }
      if (tokens.refusal !== 'wrong-credentials') return fail(400, { error: tokens.refusal });
      forgetChallenge(cookies);
      redirect(303, lapsed(next));
    }
    forgetChallenge(cookies);
    await hasSucceeded(event, 'code', challenge.email);
    await begin(cookies, tokens.value);
    await remember(cookies, accountOf(challenge.email));
    redirect(303, next);
  },
};

/** Cognito's challenge expires after a few minutes; then the password is needed again. */
function lapsed(next: string): string {
  return `/sign-in?${new URLSearchParams({ lapsed: '', next })}`;
}
