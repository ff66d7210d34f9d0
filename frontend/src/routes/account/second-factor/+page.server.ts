import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { type Picture, draw, isSecret, keyUri } from '$lib/server/authenticator';
import {
  beginSecondFactor,
  dropSecondFactor,
  finishSecondFactor,
  hasSecondFactor,
} from '$lib/server/cognito';
import { ownForm } from '$lib/server/own-form';
import { renewed } from '$lib/server/session';
import { sectionsFor } from '$lib/staff';

import type { Actions, PageServerLoad } from './$types';

/** What shows the secret stays in no cache. */
const NO_STORE = { 'cache-control': 'no-store' };

export const load: PageServerLoad = async ({ locals, setHeaders, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  setHeaders(NO_STORE);
  const on = await hasSecondFactor(locals.session.accessToken);
  return {
    on: on.ok ? on.value : undefined,
    isStaff: sectionsFor(locals.session.scopes).length > 0,
  };
};

export const actions: Actions = {
  begin: async (event) => {
    const { session } = await ownForm(event);
    const secret = await beginSecondFactor(session.accessToken);
    if (!secret.ok) return fail(400, { error: secret.refusal });
    return { setUp: setUp(secret.value, session.email) };
  },
  finish: async (event) => {
    const { form, session } = await ownForm(event);
    const secret = readText(form, 'secret');
    const code = readText(form, 'code').replace(/\s/g, '');
    if (!isSecret(secret)) return fail(400, { error: 'invalid' as const });
    const again = { setUp: setUp(secret, session.email) };
    if (!/^\d{6}$/.test(code)) return fail(422, { ...again, error: 'wrong-code' as const });

    const finished = await finishSecondFactor(session.accessToken, code);
    if (!finished.ok) return fail(400, { ...again, error: finished.refusal });
    await renewed(event.cookies);
    redirect(303, '/account?done=second-factor');
  },
  drop: async (event) => {
    const { session } = await ownForm(event);
    const dropped = await dropSecondFactor(session.accessToken);
    if (!dropped.ok) return fail(400, { error: dropped.refusal });
    await renewed(event.cookies);
    redirect(303, '/account?done=no-second-factor');
  },
};

function setUp(secret: string, email: string): { secret: string; picture: Picture } {
  return { secret, picture: draw(keyUri(secret, email)) };
}
