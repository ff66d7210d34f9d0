import { fail, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { outcome } from '$lib/server/api';
import { signInFirst } from '$lib/server/draft';
import { ownForm } from '$lib/server/own-form';
import { asksForCode, reauthenticated } from '$lib/server/reauthentication';
import { end, revoke } from '$lib/server/session';

import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  return { asksForCode: await asksForCode(locals.session) };
};

export const actions: Actions = {
  default: async (event) => {
    const { form, session } = await ownForm(event);
    const person = await reauthenticated(event, form, session);
    if (!person.ok) return fail(person.status, { error: person.error });
    await revoke(person.tokens.refreshToken);

    const deleted = await outcome(event.locals.api.DELETE('/v1/me'));
    if (deleted.ok) {
      await end(event.cookies);
      redirect(303, '/sign-in?done=deleted');
    }
    switch (deleted.problem.kind) {
      case 'unauthorized':
        return signInFirst(event, form);
      case 'orders-under-way':
      case 'staff-account':
        return fail(409, { error: deleted.problem.kind });
      default:
        return fail(503, { error: 'unavailable' as const });
    }
  },
};
