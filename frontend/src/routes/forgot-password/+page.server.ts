import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { readText } from '$lib/server/account-form';
import { forgotPassword } from '$lib/server/cognito';

import type { Actions } from './$types';

export const actions: Actions = {
  default: async ({ request }) => {
    const email = readText(await request.formData(), 'email').trim();
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    const sent = await forgotPassword(email);
    // Whether somebody has that address, or has confirmed it, is nobody else's business.
    const silent = sent.ok || sent.refusal === 'wrong-credentials' || sent.refusal === 'invalid';
    if (!silent) return fail(400, { email, error: sent.refusal });
    redirect(303, `/forgot-password/code?${new URLSearchParams({ email })}`);
  },
};
