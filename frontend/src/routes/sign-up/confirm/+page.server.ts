import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { confirm, resendCode } from '$lib/server/cognito';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ url }) => ({
  email: url.searchParams.get('email') ?? '',
  next: nextPath(url.searchParams.get('next')),
});

export const actions: Actions = {
  confirm: async ({ request }) => {
    const form = await request.formData();
    const email = readText(form, 'email').trim();
    const code = readText(form, 'code').trim();
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    if (!code) return fail(422, { email, error: 'code' as const });

    const confirmed = await confirm(email, code);
    if (!confirmed.ok) return fail(400, { email, error: confirmed.refusal });
    const next = nextPath(readText(form, 'next'));
    redirect(303, `/sign-in?${new URLSearchParams({ confirmed: '', email, next })}`);
  },
  resend: async ({ request }) => {
    const email = readText(await request.formData(), 'email').trim();
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    const sent = await resendCode(email);
    if (!sent.ok) return fail(400, { email, error: sent.refusal });
    return { email, resent: true };
  },
};
