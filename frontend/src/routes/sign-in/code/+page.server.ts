import { fail, redirect } from '@sveltejs/kit';

import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { challengeOf, forgetChallenge } from '$lib/server/challenge';
import { answerChallenge } from '$lib/server/cognito';
import { begin } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies, locals, url }) => {
  const next = nextPath(url.searchParams.get('next'));
  if (locals.session) redirect(303, next);
  if (!(await challengeOf(cookies))) redirect(303, lapsed(next));
  return { next };
};

export const actions: Actions = {
  default: async ({ cookies, request }) => {
    const form = await request.formData();
    const next = nextPath(readText(form, 'next'));
    const code = readText(form, 'code').replace(/\s/g, '');
    const challenge = await challengeOf(cookies);
    if (!challenge) redirect(303, lapsed(next));
    if (!code) return fail(422, { error: 'wrong-code' as const });

    const tokens = await answerChallenge(challenge, code);
    if (!tokens.ok) {
      if (tokens.refusal === 'wrong-code' || tokens.refusal === 'invalid') {
        return fail(400, { error: 'wrong-code' as const });
      }
      if (tokens.refusal !== 'wrong-credentials') return fail(400, { error: tokens.refusal });
      forgetChallenge(cookies);
      redirect(303, lapsed(next));
    }
    forgetChallenge(cookies);
    await begin(cookies, tokens.value);
    redirect(303, next);
  },
};

/** Cognito waits a few minutes for the code; after that the password is asked for again. */
function lapsed(next: string): string {
  return `/sign-in?${new URLSearchParams({ lapsed: '', next })}`;
}
