/** Forms that only somebody signed in may send. */
import { type RequestEvent, redirect } from '@sveltejs/kit';

import { pageOf } from '$lib/next-path';
import { NOT_YOURS, WHOSE } from '$lib/whose';

import { signInFirst } from './draft';
import type { Session } from './session';

/**
 * What was sent, and who is signed in: the person to whom its page was shown. Whoever is not signed in
 * has to sign in first; where somebody else is, in another tab, nothing is done, and their page is shown.
 */
export async function ownForm(event: RequestEvent): Promise<{ form: FormData; session: Session }> {
  const form = await event.request.formData();
  const { session } = event.locals;
  if (!session) return signInFirst(event, form);
  if (form.get(WHOSE) !== session.subject) {
    const { page } = pageOf(event.url);
    page.searchParams.set(NOT_YOURS, '');
    redirect(303, page.pathname + page.search);
  }
  return { form, session };
}
