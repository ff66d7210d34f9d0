/**
 * Read-your-writes: the newest WAL position that the visitor has seen is sent with their next
 * requests.
 */
import type { Cookies } from '@sveltejs/kit';

import { hostCookie } from './host-cookie';

/** The API's header. */
export const TOKEN = 'consistency-token';

const COOKIE = hostCookie('seen');
/** A position in the write-ahead log, as the API writes it. */
const FORM = /^[0-9a-f]{16}$/;

/** By then every standby has replayed it, or an alarm has been raised. */
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
      // Tokens sort as text; the calls of one page may finish in any order.
      if (seen !== undefined && token <= seen) return;
      seen = token;
      try {
        COOKIE.write(cookies, token, HOUR);
      } catch {
        // The response's headers are already sent, so this token is lost.
      }
    },
  };
}
