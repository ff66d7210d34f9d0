/** How far the visitor has seen the database write, so that they see what they have just done. */
import type { Cookies } from '@sveltejs/kit';

import { hostCookie } from './host-cookie';

/** The API's header. */
export const TOKEN = 'consistency-token';

const COOKIE = hostCookie('seen');
/** A position in the write-ahead log, as the API writes it. */
const FORM = /^[0-9a-f]{16}$/;

/** By then, all of the database has replayed it, or an alarm has been raised. */
const HOUR = 60 * 60;

export interface Seen {
  token(): string | undefined;
  note(token: string): void;
}

export function seenBy(cookies: Cookies): Seen {
  let seen = COOKIE.read(cookies);
  if (seen !== undefined && !FORM.test(seen)) {
    COOKIE.drop(cookies);
    seen = undefined;
  }
  return {
    token: () => seen,
    note: (token) => {
      // Tokens sort as text; calls of one page may be answered in any order.
      if (seen !== undefined && token <= seen) return;
      seen = token;
      try {
        COOKIE.write(cookies, token, HOUR);
      } catch {
        // The page is on its way already: what came last is not in its head.
      }
    },
  };
}
