import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { changePassword } from '$lib/server/cognito';
import { ownForm } from '$lib/server/own-form';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
};

export const actions: Actions = {
  default: async (event) => {
    const { form, session } = await ownForm(event);
    const present = readText(form, 'present-password');
    const wanted = readText(form, 'password');
    if (!present) return fail(422, { error: 'password' as const });
    if (!wanted) return fail(422, { error: 'weak-password' as const });

    const changed = await changePassword(session.accessToken, present, wanted);
    if (!changed.ok) return fail(400, { error: changed.refusal });
    redirect(303, '/account?done=password');
  },
};
