import { fail, redirect } from '@sveltejs/kit';

import { mayHaveAccount } from '$lib/email';
import { readText } from '$lib/server/account-form';
import { keepAddress } from '$lib/server/address-cookie';
import { mayTry } from '$lib/server/attempts';
import { forgotPassword } from '$lib/server/cognito';
import { isOutage } from '$lib/server/discretion';

import type { Actions } from './$types';

export const actions: Actions = {
  default: async (event) => {
    const email = readText(await event.request.formData(), 'email').trim();
    if (!mayHaveAccount(email)) return fail(422, { email, error: 'email' as const });
    if (!(await mayTry(event, 'mail', email))) {
      return fail(429, { email, error: 'too-many-attempts' as const });
    }
    const sent = await forgotPassword(email);
    if (!sent.ok && isOutage(sent.refusal)) return fail(503, { email, error: sent.refusal });
    await keepAddress(event.cookies, email);
    redirect(303, '/forgot-password/code');
  },
};
