/** Where to go after signing in or changing the language: only ever to a page of this site. */
const OURS = new URL('http://cauce.invalid');
/** A sealed search is long. */
const MAX_LENGTH = 2_000;

/** `wanted` if it is a path of this site, else `otherwise`. */
export function nextPath(wanted: unknown, otherwise = '/'): string {
  if (typeof wanted !== 'string' || !wanted.startsWith('/') || wanted.length > MAX_LENGTH) {
    return otherwise;
  }
  // Browsers read `//host`, `/\host` and a path with a line break in it as other sites.
  const url = URL.parse(wanted, OURS);
  if (url?.origin !== OURS.origin || url.pathname.startsWith('//')) return otherwise;
  return url.pathname + url.search;
}

/**
 * The page that the action at `url` belongs to, and the action's name: `?/force` is the action
 * `force`.
 */
export function pageOf(url: URL): { page: URL; action: string } {
  const page = new URL(url);
  const named = [...url.searchParams.keys()].filter((name) => name.startsWith('/'));
  for (const name of named) page.searchParams.delete(name);
  // If there are several, SvelteKit runs the first.
  return { page, action: named[0]?.slice(1) ?? 'default' };
}

/** The sign-in page that leads back to `url`. */
export function signInPath(url: URL): string {
  return `/sign-in?next=${encodeURIComponent(url.pathname + url.search)}`;
}
