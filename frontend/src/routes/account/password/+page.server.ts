import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { changePassword } from '$lib/server/cognito';
import { ownForm } from '$lib/server/own-form';
import { isAcceptable } from '$lib/server/password-rules';
import { asksForCode, reauthenticated, signInAgain } from '$lib/server/reauthentication';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  return { asksForCode: await asksForCode(locals.session) };
};

export const actions: Actions = {
  default: async (event) => {
    const { form, session } = await ownForm(event);
    const wanted = readText(form, 'password');
    if (!isAcceptable(wanted, session.email)) {
      return fail(422, { error: 'weak-password' as const });
    }
    const person = await reauthenticated(event, form, session);
    if (!person.ok) return fail(person.status, { error: person.error });

    const { accessToken } = person.tokens;
    const changed = await changePassword(accessToken, readText(form, 'present-password'), wanted);
    if (!changed.ok) return fail(400, { error: changed.refusal });
    return signInAgain(event, accessToken, 'password');
  },
};
