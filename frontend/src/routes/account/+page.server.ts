import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { hasSecondFactor } from '$lib/server/cognito';
import { ownForm } from '$lib/server/own-form';
import { endEverywhere } from '$lib/server/session';
import { lacksSecondFactor } from '$lib/staff';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  const { accessToken, email, roles, scopes } = locals.session;
  const secondFactor = await hasSecondFactor(accessToken);
  return {
    email,
    // Undefined while Cognito does not answer; the rest of the page still works.
    secondFactor: secondFactor.ok ? secondFactor.value : undefined,
    lacksSecondFactor: lacksSecondFactor(roles, scopes),
    done: url.searchParams.get('done'),
  };
};

export const actions: Actions = {
  everywhere: async (event) => {
    const { session } = await ownForm(event);
    const ended = await endEverywhere(event.cookies, session.accessToken);
    if (!ended.ok) return fail(503, { failed: true });
    redirect(303, '/');
  },
};
