/** The responses to requests that the hooks refuse, before any page is loaded. */
import { type RequestEvent, json } from '@sveltejs/kit';

import { failureTexts } from '$lib/failure';
import { load } from '$lib/i18n/messages';
import { log } from '$lib/server/log';
import base from '$lib/styles/base.css?url';
import tokens from '$lib/styles/tokens.css?url';

export type RefusalStatus = 401 | 403 | 405 | 408 | 413 | 415 | 429;

/** After this the connection is closed, even in the middle of a body. */
const DISCARD_MS = 5_000;

const POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export async function refusal(
  event: RequestEvent,
  status: RefusalStatus,
  headers: Record<string, string> = {},
): Promise<Response> {
  discardBody(event);
  // A network over its budget would fill the log; the load balancer logs these requests.
  if (status !== 429) log('WARN', 'request.refused', { status, path: event.url.pathname });
  const init = { status, headers: { ...headers, 'cache-control': 'no-store' } };
  const error = { message: 'refused', traceId: event.locals.traceId };
  // The form was sent by SvelteKit's script.
  if (event.request.headers.has('x-sveltekit-action')) return json({ type: 'error', error }, init);
  if (!acceptsPage(event)) return json(error, init);
  return new Response(await page(event, status), {
    status,
    headers: {
      ...init.headers,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': POLICY,
    },
  });
}

/** Whether the response is shown as a page. */
export function acceptsPage({ isDataRequest, request }: RequestEvent): boolean {
  return !isDataRequest && (request.headers.get('accept') ?? '').includes('text/html');
}

/** Reads the rest of a body for some seconds without keeping it, so that the answer arrives. */
function discardBody({ platform }: RequestEvent): void {
  const request = platform?.req;
  if (!request || request.complete) return;
  const timer = setTimeout(() => request.destroy(), DISCARD_MS);
  request.once('close', () => clearTimeout(timer));
  request.removeAllListeners('data').resume();
}

async function page({ locals }: RequestEvent, status: RefusalStatus): Promise<string> {
  const { language, traceId } = locals;
  const t = await load(language);
  const [title, text] = failureTexts(t.failure, status);
  const account = `<a class="button" href="/account">${t.failure.account}</a>`;
  return `<!doctype html>
<html lang="${language}">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>${title} · ${t.shop.name}</title>
    <link rel="icon" href="/icon.svg" />
    <link rel="stylesheet" href="${tokens}" />
    <link rel="stylesheet" href="${base}" />
  </head>
  <body>
    <main class="wrap stack">
      <h1>${title}</h1>
      <p>${text}</p>
      <p class="small muted">${t.failure.reference(traceId)}</p>
      <p>${status === 403 ? account : ''} <a class="button" href="/">${t.failure.home}</a></p>
    </main>
  </body>
</html>
`;
}
