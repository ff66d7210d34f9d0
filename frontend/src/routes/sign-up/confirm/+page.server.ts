import { fail, redirect } from '@sveltejs/kit';

import { mayHaveAccount } from '$lib/email';
import { nextPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { addressOf, keepAddress } from '$lib/server/address-cookie';
import { mayTry } from '$lib/server/attempts';
import { confirm, resendCode } from '$lib/server/cognito';
import { codeRefusal, isOutage } from '$lib/server/discretion';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies, url }) => ({
  email: await addressOf(cookies),
  next: nextPath(url.searchParams.get('next')),
});

export const actions: Actions = {
  confirm: async (event) => {
    const form = await event.request.formData();
    const email = readText(form, 'email').trim();
    const code = readText(form, 'code').trim();
    if (!mayHaveAccount(email)) return fail(422, { email, error: 'email' as const });
    if (!code) return fail(422, { email, error: 'code' as const });
    if (!(await mayTry(event, 'code', email))) {
      return fail(429, { email, error: 'too-many-attempts' as const });
    }

    const confirmed = await confirm(email, code);
    if (!confirmed.ok) return fail(400, { email, error: codeRefusal(confirmed.refusal) });
    const next = nextPath(readText(form, 'next'));
    await keepAddress(event.cookies, email);
    redirect(303, `/sign-in?${new URLSearchParams({ confirmed: '', next })}`);
  },
  resend: async (event) => {
    const email = readText(await event.request.formData(), 'email').trim();
    if (!mayHaveAccount(email)) return fail(422, { email, error: 'email' as const });
    if (!(await mayTry(event, 'mail', email))) {
      return fail(429, { email, error: 'too-many-attempts' as const });
    }
    const sent = await resendCode(email);
    if (!sent.ok && isOutage(sent.refusal)) return fail(503, { email, error: sent.refusal });
    return { email, resent: true };
  },
};
