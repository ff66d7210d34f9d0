/**
 * What somebody typed into a form whose session had ended meanwhile. Their own browser keeps it,
 * sealed, until they have signed in again and the form is shown with it.
 */
import { type Cookies, redirect } from '@sveltejs/kit';

import { pageOf, signInPath } from '$lib/next-path';
import { WHOSE } from '$lib/whose';

import { hostCookie } from './host-cookie';
import { log } from './log';
import { sealed } from './sealed';

export type Draft = {
  /** Which of the page's forms. */
  action: string;
  fields: Record<string, string>;
};

const COOKIE = hostCookie('draft');
const SECONDS = 15 * 60;
/** Browsers may drop a cookie that is larger, its name and attributes included. */
const MAX_BYTES = 3_900;

/** Ends an action: to the sign-in page, and from there back to the form as it was. */
export async function signInFirst(
  { cookies, url }: { cookies: Cookies; url: URL },
  form: FormData,
): Promise<never> {
  const { page, action } = pageOf(url);
  const content = { page: page.pathname, action, fields: textsOf(form) };
  const value = await sealed().close('draft', content, SECONDS);
  if (value.length < MAX_BYTES) COOKIE.write(cookies, value, SECONDS);
  else log('WARN', 'draft.too_large', { bytes: value.length });
  redirect(303, signInPath(page));
}

/** What was kept for this page, once, and for nobody but who had typed it. */
export async function takeDraft({
  cookies,
  locals,
  url,
}: {
  cookies: Cookies;
  locals: App.Locals;
  url: URL;
}): Promise<Draft | undefined> {
  const { session } = locals;
  const value = session && COOKIE.read(cookies);
  const content = value ? await sealed().open('draft', value) : undefined;
  if (content?.page !== url.pathname) return undefined;
  forgetDraft(cookies);
  const fields = content.fields as Draft['fields'];
  if (fields[WHOSE] && fields[WHOSE] !== session?.subject) return undefined;
  return { action: String(content.action), fields };
}

/** The draft as the form it was. */
export function formOf({ fields }: Draft): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  return form;
}

export function forgetDraft(cookies: Cookies): void {
  COOKIE.drop(cookies);
}

function textsOf(form: FormData): Draft['fields'] {
  const fields: Draft['fields'] = {};
  for (const [name, value] of form) {
    if (typeof value === 'string' && !/password|^code$|^secret$/.test(name)) fields[name] = value;
  }
  return fields;
}
