import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { readText } from '$lib/server/account-form';
import { resetPassword } from '$lib/server/cognito';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ url }) => ({ email: url.searchParams.get('email') ?? '' });

export const actions: Actions = {
  default: async ({ request }) => {
    const form = await request.formData();
    const email = readText(form, 'email').trim();
    const code = readText(form, 'code').trim();
    const password = readText(form, 'password');
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    if (!code) return fail(422, { email, error: 'code' as const });
    if (!password) return fail(422, { email, error: 'weak-password' as const });

    const changed = await resetPassword(email, code, password);
    if (!changed.ok) {
      // An address that nobody has is answered as a wrong code is.
      const unknown = changed.refusal === 'wrong-credentials' || changed.refusal === 'unconfirmed';
      return fail(400, { email, error: unknown ? ('wrong-code' as const) : changed.refusal });
    }
    redirect(303, `/sign-in?${new URLSearchParams({ reset: '', email })}`);
  },
};
