/** How far the visitor has seen the database write, so that nobody misses what they have just done. */
import type { Cookies } from '@sveltejs/kit';

/** The API's header. */
export const TOKEN = 'consistency-token';

const NAME = 'cauce_seen';

/** By then, all of the database has seen it, or somebody has been woken. */
const HOUR = 60 * 60;

export interface Seen {
  token(): string | undefined;
  note(token: string): void;
}

export function seenBy(cookies: Cookies): Seen {
  const options = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const;
  let seen = cookies.get(NAME);
  return {
    token: () => seen,
    note: (token) => {
      // Tokens sort as text; calls of one page may be answered in any order.
      if (seen !== undefined && token <= seen) return;
      seen = token;
      try {
        cookies.set(NAME, token, { ...options, maxAge: HOUR });
      } catch {
        // The page is on its way already: what came last is not in its head.
      }
    },
  };
}
