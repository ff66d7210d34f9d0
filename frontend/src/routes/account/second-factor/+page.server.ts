import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { readCode, readText } from '$lib/server/account-form';
import { mayTry } from '$lib/server/attempts';
import { type Picture, draw, isSecret, keyUri } from '$lib/server/authenticator';
import {
  beginSecondFactor,
  dropSecondFactor,
  finishSecondFactor,
  hasSecondFactor,
} from '$lib/server/cognito';
import { enrolmentOf, forgetEnrolment, keepEnrolment } from '$lib/server/enrolment';
import { ownForm } from '$lib/server/own-form';
import { reauthenticated, signInAgain } from '$lib/server/reauthentication';
import { sectionsFor } from '$lib/staff';

import type { Actions, PageServerLoad } from './$types';

/** The page shows the secret, so it must not be cached. */
const NO_STORE = { 'cache-control': 'no-store' };

export const load: PageServerLoad = async ({ locals, setHeaders, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  setHeaders(NO_STORE);
  const on = await hasSecondFactor(locals.session.accessToken);
  return {
    on: on.ok ? on.value : undefined,
    isStaff: sectionsFor(locals.session.scopes).length > 0,
  };
};

export const actions: Actions = {
  begin: async (event) => {
    const { form, session } = await ownForm(event);
    const person = await reauthenticated(event, form, session);
    if (!person.ok) return fail(person.status, { begin: person.error });
    const { accessToken } = person.tokens;
    const secret = await beginSecondFactor(accessToken);
    if (!secret.ok) return fail(400, { begin: secret.refusal });
    await keepEnrolment(event.cookies, { subject: session.subject, accessToken });
    return { setUp: setUp(secret.value, session.email) };
  },
  finish: async (event) => {
    const { form, session } = await ownForm(event);
    const accessToken = await enrolmentOf(event.cookies, session.subject);
    // The enrolment has expired, or this site did not show the form.
    if (!accessToken) redirect(303, '/account/second-factor');
    const secret = readText(form, 'secret');
    const code = readCode(form, 'code');
    if (!isSecret(secret)) return fail(400, { begin: 'invalid' as const });
    const again = { setUp: setUp(secret, session.email) };
    if (!/^\d{6}$/.test(code)) return fail(422, { ...again, error: 'wrong-code' as const });
    if (!(await mayTry(event, 'code', session.email))) {
      return fail(429, { ...again, error: 'too-many-attempts' as const });
    }

    const finished = await finishSecondFactor(accessToken, code);
    if (!finished.ok) return fail(400, { ...again, error: finished.refusal });
    forgetEnrolment(event.cookies);
    return signInAgain(event, accessToken, 'second-factor');
  },
  drop: async (event) => {
    const { form, session } = await ownForm(event);
    const person = await reauthenticated(event, form, session);
    if (!person.ok) return fail(person.status, { drop: person.error });
    const { accessToken } = person.tokens;
    const dropped = await dropSecondFactor(accessToken);
    if (!dropped.ok) return fail(400, { drop: dropped.refusal });
    return signInAgain(event, accessToken, 'no-second-factor');
  },
};

function setUp(secret: string, email: string): { secret: string; picture: Picture } {
  return { secret, picture: draw(keyUri(secret, email)) };
}
