/**
 * The fields of a form that was sent after the session had ended. A sealed cookie keeps them until
 * the person has signed in again and the form is shown with them.
 */
import { type Cookies, redirect } from '@sveltejs/kit';

import { pageOf, signInPath } from '$lib/next-path';
import { OWNER_FIELD } from '$lib/form-owner';

import { hostCookie } from './host-cookie';
import { log } from './log';
import { sealed } from './sealed';

export type Draft = {
  /** The action of the form. */
  action: string;
  fields: Record<string, string>;
};

const COOKIE = hostCookie('draft');
const SECONDS = 15 * 60;
/** Browsers may drop a cookie that is larger, its name and attributes included. */
const MAX_BYTES = 3_900;

/** Redirects an action to the sign-in page, and from there back to the form with its fields. */
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

/** The draft for this page; only once, and only for the person who typed it. */
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
  if (fields[OWNER_FIELD] && fields[OWNER_FIELD] !== session?.subject) return undefined;
  return { action: String(content.action), fields };
}

/** The draft as form data. */
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
