import { fail, redirect } from '@sveltejs/kit';

import { mayHaveAccount } from '$lib/email';
import { readText } from '$lib/server/account-form';
import { addressOf, keepAddress } from '$lib/server/address-cookie';
import { mayTry } from '$lib/server/attempts';
import { resetPassword } from '$lib/server/cognito';
import { codeRefusal } from '$lib/server/discretion';
import { isAcceptable } from '$lib/server/password-rules';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies }) => ({ email: await addressOf(cookies) });

export const actions: Actions = {
  default: async (event) => {
    const form = await event.request.formData();
    const email = readText(form, 'email').trim();
    const code = readText(form, 'code').trim();
    const password = readText(form, 'password');
    if (!mayHaveAccount(email)) return fail(422, { email, error: 'email' as const });
    if (!code) return fail(422, { email, error: 'code' as const });
    if (!isAcceptable(password, email)) {
      return fail(422, { email, error: 'weak-password' as const });
    }
    if (!(await mayTry(event, 'code', email))) {
      return fail(429, { email, error: 'too-many-attempts' as const });
    }

    const changed = await resetPassword(email, code, password);
    if (!changed.ok) return fail(400, { email, error: codeRefusal(changed.refusal) });
    await keepAddress(event.cookies, email);
    redirect(303, '/sign-in?reset');
  },
};
