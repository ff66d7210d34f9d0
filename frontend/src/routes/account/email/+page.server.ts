import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { signInPath } from '$lib/next-path';
import { readText } from '$lib/server/account-form';
import { addressOf, forgetAddress, keepAddress } from '$lib/server/address-cookie';
import { mayTry } from '$lib/server/attempts';
import { changeEmail, verifyEmail, warnOfAddressChange } from '$lib/server/cognito';
import { takeDraft } from '$lib/server/draft';
import { codeRefusal } from '$lib/server/discretion';
import { log } from '$lib/server/log';
import { ownForm } from '$lib/server/own-form';
import { asksForCode, reauthenticated } from '$lib/server/reauthentication';
import { renewed, revoke } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ cookies, locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  const draft = await takeDraft({ cookies, locals, url });
  const asked = await addressOf(cookies);
  return {
    email: locals.session.email,
    wanted: draft?.fields.email ?? asked,
    /** The address that a code was sent to. */
    pending: url.searchParams.has('code-sent') ? asked || undefined : undefined,
    asksForCode: await asksForCode(locals.session),
  };
};

export const actions: Actions = {
  ask: async (event) => {
    const { form, session } = await ownForm(event);
    const email = readText(form, 'email').trim();
    if (!isEmail(email)) return fail(422, { email, error: 'email' as const });
    if (!(await mayTry(event, 'mail', email))) {
      return fail(429, { email, error: 'too-many-attempts' as const });
    }
    const person = await reauthenticated(event, form, session);
    if (!person.ok) return fail(person.status, { email, error: person.error });

    const { accessToken, refreshToken } = person.tokens;
    const warned = await warnOfAddressChange(session.email);
    if (!warned.ok) {
      await revoke(refreshToken);
      return fail(400, { email, error: warned.refusal });
    }
    const asked = await changeEmail(accessToken, email);
    await revoke(refreshToken);
    // Only the owner of the address may learn whether it already has an account.
    const isHidden = !asked.ok && !['unavailable', 'invalid'].includes(asked.refusal);
    if (!asked.ok && !isHidden) return fail(400, { email, error: asked.refusal });
    log('INFO', 'account.email_change_asked', { user: session.subject });
    if (isHidden || (asked.ok && asked.value.codeSent)) {
      await keepAddress(event.cookies, email);
      redirect(303, '/account/email?code-sent');
    }
    await renewed(event.cookies);
    redirect(303, '/account?done=email');
  },
  verify: async (event) => {
    const { form, session } = await ownForm(event);
    const code = readText(form, 'code').trim();
    if (!code) return fail(422, { error: 'code' as const });
    if (!(await mayTry(event, 'code', session.email))) {
      return fail(429, { error: 'too-many-attempts' as const });
    }

    const verified = await verifyEmail(session.accessToken, code);
    if (!verified.ok) return fail(400, { error: codeRefusal(verified.refusal) });
    log('INFO', 'account.email_changed', { user: session.subject });
    forgetAddress(event.cookies);
    await renewed(event.cookies);
    redirect(303, '/account?done=email');
  },
};
