/**
 * A search at the staff desk, sealed into the URL of its page: it may contain an e-mail address,
 * which must not appear in a history, a log or a referrer. The page can still be reloaded, and
 * shared among staff.
 */
import { type Action, redirect } from '@sveltejs/kit';

import { sealed } from './sealed';

/** A working day. */
const SECONDS = 24 * 60 * 60;
const PARAMETER = 'q';

/** The search, and the cursor of its page. */
type Sought = { search: URLSearchParams; cursor: string | undefined };

/** The search in a page's URL; empty if there is none or it has expired. */
export async function openSearch(url: URL): Promise<Sought> {
  const value = url.searchParams.get(PARAMETER);
  const content = value ? await sealed().open('search', value) : undefined;
  const { search, cursor } = content ?? {};
  return {
    search: new URLSearchParams(typeof search === 'string' ? search : ''),
    cursor: typeof cursor === 'string' ? cursor : undefined,
  };
}

/** The URL of a page with the search, without its empty fields. */
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

/** The action of a search form: redirects to the page with the search. */
export function searching(read: (form: URLSearchParams) => Record<string, string>): Action {
  return async ({ request, url }) => {
    const texts = [...(await request.formData())].filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    );
    redirect(303, await sealSearch(url.pathname, read(new URLSearchParams(texts))));
  };
}
