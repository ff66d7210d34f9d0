import type { Handle, HandleServerError, RequestEvent, ServerInit } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';

import { refuseOrAdmit } from '$lib/server/admission';
import { createApi } from '$lib/server/api';
import { type Budget, createBudget } from '$lib/server/budget';
import { readCart } from '$lib/server/cart-cookie';
import { config } from '$lib/server/config';
import { seenBy } from '$lib/server/consistency-cookie';
import { languageOf } from '$lib/server/language-cookie';
import { log, reason } from '$lib/server/log';
import { refusal } from '$lib/server/refusal';
import { ruleOf } from '$lib/server/route-rules';
import { current } from '$lib/server/session';
import { traceId } from '$lib/server/trace';

let budget: Budget;

export const init: ServerInit = () => {
  budget = createBudget(config().requestBudget);
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
  if (isPersonal(event)) response.headers.set('cache-control', 'no-store');
  for (const [name, value] of Object.entries(HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
};

/** Whether the response may contain a person's data. */
function isPersonal({ locals, route }: RequestEvent): boolean {
  return locals.session !== undefined || (route.id !== null && ruleOf(route.id).isPersonal);
}

const withTrace: Handle = ({ event, resolve }) => {
  const { cookies, locals, request } = event;
  locals.traceId = traceId(request.headers);
  locals.language = languageOf(cookies, request.headers.get('accept-language'));
  return resolve(event);
};

const withBudget: Handle = ({ event, resolve }) => {
  const seconds = budget.spend(event.getClientAddress());
  return seconds > 0 ? refusal(event, 429, { 'retry-after': String(seconds) }) : resolve(event);
};

const withVisitor: Handle = async ({ event, resolve }) => {
  const { cookies, locals } = event;
  locals.cart = readCart(cookies);
  // A page that polls does not keep a session alive.
  const cause = event.route.id?.endsWith('/live') ? 'page' : 'person';
  locals.session = await current(cookies, cause);
  locals.api = createApi({
    traceId: locals.traceId,
    language: locals.language,
    accessToken: locals.session?.accessToken,
    clientAddress: event.getClientAddress(),
    seen: seenBy(cookies),
  });
  return resolve(event, {
    transformPageChunk: ({ html }) => html.replace('%language%', locals.language),
    // The two typefaces that every page uses.
    preload: ({ type, path }) =>
      type === 'js' || type === 'css' || (type === 'font' && /-latin-wght-normal/.test(path)),
  });
};

const withRule: Handle = async ({ event, resolve }) => {
  const { id } = event.route;
  const refused = id === null ? undefined : await refuseOrAdmit(event, ruleOf(id));
  return refused ?? resolve(event);
};

const forVisitors = sequence(withBudget, withVisitor, withRule);

/**
 * The load balancer's health check skips everything else: it is frequent, and about this process
 * only.
 */
const unlessHealth: Handle = ({ event, resolve }) =>
  event.route.id === '/healthz' ? resolve(event) : forVisitors({ event, resolve });

export const handle = sequence(withHeaders, withTrace, unlessHealth);

export const handleError: HandleServerError = ({ error, event, status }) => {
  const { traceId } = event.locals;
  if (status >= 500) {
    const path = event.url.pathname;
    log('ERROR', 'request.failed', { path, status, reason: reason(error) });
  }
  return { message: status === 404 ? 'not-found' : 'internal', traceId };
};
