import type { Handle, HandleServerError, ServerInit } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';

import { createApi } from '$lib/server/api';
import { readCart } from '$lib/server/cart-cookie';
import { config } from '$lib/server/config';
import { seenBy } from '$lib/server/consistency-cookie';
import { languageOf } from '$lib/server/language-cookie';
import { log, reason } from '$lib/server/log';
import { current } from '$lib/server/session';
import { traceId } from '$lib/server/trace';

export const init: ServerInit = () => {
  config();
};

const HEADERS = {
  'cache-control': 'private, no-cache',
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=()',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
  'x-content-type-options': 'nosniff',
};

const withHeaders: Handle = async ({ event, resolve }) => {
  const response = await resolve(event);
  for (const [name, value] of Object.entries(HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
};

const withVisitor: Handle = async ({ event, resolve }) => {
  const { cookies, locals, request } = event;
  locals.traceId = traceId(request.headers);
  if (event.route.id === '/healthz') return resolve(event);

  locals.language = languageOf(cookies, request.headers.get('accept-language'));
  locals.cart = readCart(cookies);
  locals.session = await current(cookies);
  locals.api = createApi({
    traceId: locals.traceId,
    language: locals.language,
    accessToken: locals.session?.accessToken,
    clientAddress: event.getClientAddress(),
    seen: seenBy(cookies),
  });
  return resolve(event, {
    transformPageChunk: ({ html }) => html.replace('%language%', locals.language),
    // The two typefaces that every page begins with.
    preload: ({ type, path }) =>
      type === 'js' || type === 'css' || (type === 'font' && /-latin-wght-normal/.test(path)),
  });
};

export const handle = sequence(withHeaders, withVisitor);

export const handleError: HandleServerError = ({ error, event, status }) => {
  const { traceId } = event.locals;
  if (status >= 500) {
    const path = event.url.pathname;
    log('ERROR', 'request.failed', { path, status, reason: reason(error) });
  }
  return { message: status === 404 ? 'not-found' : 'internal', traceId };
};
