/** Who orders at the checkout. */
import type { Buyer } from '$lib/server/checkout-intent';

import type { Values } from './placement';

/** Whether the visitor has chosen to order without an account. */
export function isGuests(locals: App.Locals, url: URL): boolean {
  return !locals.session && url.searchParams.has('guest');
}

/** The buyer; undefined if the visitor has neither signed in nor chosen to order as a guest. */
export function buyerOf(
  locals: App.Locals,
  url: URL,
  { email }: Pick<Values, 'email'>,
): Buyer | undefined {
  if (locals.session) return { kind: 'account', id: locals.session.subject };
  return isGuests(locals, url) ? { kind: 'guest', email } : undefined;
}
