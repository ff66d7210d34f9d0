import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { changePassword } from '$lib/server/cognito';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
};

export const actions: Actions = {
  default: async ({ locals, request, url }) => {
    if (!locals.session) redirect(303, signInPath(url));
    const form = await request.formData();
    const present = readText(form, 'present-password');
    const wanted = readText(form, 'password');
    if (!present) return fail(422, { error: 'password' as const });
    if (!wanted) return fail(422, { error: 'weak-password' as const });

    const changed = await changePassword(locals.session.accessToken, present, wanted);
    if (!changed.ok) return fail(400, { error: changed.refusal });
    redirect(303, '/account?done=password');
  },
};
