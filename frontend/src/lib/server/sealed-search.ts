/**
 * A search at the staff desk, sealed into the address of its page: it may name a person, whose e-mail must not stand
 * in a history, a log or a referrer. The page can still be reloaded, and shared among staff.
 */
import { type Action, redirect } from '@sveltejs/kit';

import { sealed } from './sealed';

/** A working day. */
const SECONDS = 24 * 60 * 60;
const PARAMETER = 'q';

/** What is searched for, and where the page of it begins. */
type Sought = { search: URLSearchParams; cursor: string | undefined };

/** The search in the address of a page; nothing is searched for where there is none, or where it is too old. */
export async function openSearch(url: URL): Promise<Sought> {
  const value = url.searchParams.get(PARAMETER);
  const content = value ? await sealed().open('search', value) : undefined;
  const { search, cursor } = content ?? {};
  return {
    search: new URLSearchParams(typeof search === 'string' ? search : ''),
    cursor: typeof cursor === 'string' ? cursor : undefined,
  };
}

/** The address of a page with the search; without what is not asked for. */
export async function sealSearch(
  path: string,
  search: Record<string, string>,
  cursor?: string,
): Promise<string> {
  const asked = Object.entries(search).filter(([, value]) => value !== '');
  if (asked.length === 0 && cursor === undefined) return path;
  const content = { search: new URLSearchParams(asked).toString(), ...(cursor && { cursor }) };
  const value = await sealed().close('search', content, SECONDS);
  return `${path}?${PARAMETER}=${value}`;
}

/** The action of a search form: leads to the page with what is searched for. */
export function searching(read: (form: URLSearchParams) => Record<string, string>): Action {
  return async ({ request, url }) => {
    const texts = [...(await request.formData())].filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    );
    redirect(303, await sealSearch(url.pathname, read(new URLSearchParams(texts))));
  };
}
