/**
 * A cookie that only this host can set. With `__Host-`, browsers reject it from another host of the
 * same domain, and over plain HTTP except on localhost.
 */
import type { Cookies } from '@sveltejs/kit';

const OPTIONS = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const;

export type HostCookie = {
  name: string;
  read(cookies: Cookies): string | undefined;
  write(cookies: Cookies, value: string, seconds: number): void;
  /** Removes the cookie from a browser that has it. */
  drop(cookies: Cookies): void;
};

export function hostCookie(purpose: string): HostCookie {
  const name = `__Host-cauce_${purpose}`;
  const read = (cookies: Cookies) => cookies.get(name);
  return {
    name,
    read,
    write(cookies, value, seconds) {
      cookies.set(name, value, { ...OPTIONS, maxAge: seconds });
    },
    drop(cookies) {
      if (read(cookies) !== undefined) cookies.delete(name, OPTIONS);
    },
  };
}
