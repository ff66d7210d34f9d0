/** Forms that require a session, sent by the person they were shown to. */
import { type RequestEvent, redirect } from '@sveltejs/kit';

import { pageOf } from '$lib/next-path';
import { NOT_YOURS, OWNER_FIELD } from '$lib/form-owner';

import { signInFirst } from './draft';
import type { Session } from './session';

/**
 * The form and the session. Without a session, redirects to the sign-in page. If another account
 * has signed in meanwhile, in another tab, nothing is done and the page is shown again for that
 * account.
 */
export async function ownForm(event: RequestEvent): Promise<{ form: FormData; session: Session }> {
  const form = await event.request.formData();
  const { session } = event.locals;
  if (!session) return signInFirst(event, form);
  if (form.get(OWNER_FIELD) !== session.subject) {
    const { page } = pageOf(event.url);
    page.searchParams.set(NOT_YOURS, '');
    redirect(303, page.pathname + page.search);
  }
  return { form, session };
}
