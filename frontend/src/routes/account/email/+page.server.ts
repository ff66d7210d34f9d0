import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { signInPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { changeEmail, verifyEmail } from '$lib/server/cognito';
import { takeDraft } from '$lib/server/draft';
import { ownForm } from '$lib/server/own-form';
import { renewed } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies, locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  const draft = await takeDraft({ cookies, locals, url });
  return {
    email: locals.session.email,
    wanted: draft?.fields.email ?? '',
    /** Where a code was sent. */
    pending: url.searchParams.get('code-sent-to') ?? undefined,
  };
};

export const actions: Actions = {
  ask: async (event) => {
    const { form, session } = await ownForm(event);
    const email = readText(form, 'email').trim();
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });

    const asked = await changeEmail(session.accessToken, email);
    if (!asked.ok) return fail(400, { email, error: asked.refusal });
    if (asked.value.codeSent) {
      redirect(303, `/account/email?${new URLSearchParams({ 'code-sent-to': email })}`);
    }
    await renewed(event.cookies);
    redirect(303, '/account?done=email');
  },
  verify: async (event) => {
    const { form, session } = await ownForm(event);
    const code = readText(form, 'code').trim();
    if (!code) return fail(422, { error: 'code' as const });

    const verified = await verifyEmail(session.accessToken, code);
    if (!verified.ok) return fail(400, { error: verified.refusal });
    await renewed(event.cookies);
    redirect(303, '/account?done=email');
  },
};
