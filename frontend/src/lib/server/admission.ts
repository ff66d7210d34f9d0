/** Decides by the route's rule whether a request is served, before its body is read. */
import { type RequestEvent, redirect } from '@sveltejs/kit';

import { pageOf, signInPath } from '$lib/next-path';

import { readBody } from './body';
import { signInFirst } from './draft';
import { acceptsPage, refusal } from './refusal';
import { type BodyRule, type RouteRule, admit, bodyRuleOf } from './route-rules';

/** Methods that send no body. */
const READS = ['GET', 'HEAD', 'OPTIONS'];

/**
 * The response that refuses a request; undefined if it is admitted, with its whole body in memory.
 */
export function refuseOrAdmit(event: RequestEvent, rule: RouteRule): Promise<Response | undefined> {
  return READS.includes(event.request.method) ? refuseRead(event, rule) : refuseForm(event, rule);
}

async function refuseRead(event: RequestEvent, rule: RouteRule): Promise<Response | undefined> {
  switch (admit(rule.access, event.locals.session)) {
    case 'admitted':
      return undefined;
    case 'forbidden':
      return refusal(event, 403);
    case 'sign-in':
      if (event.isDataRequest || acceptsPage(event)) redirect(303, signInPath(event.url));
      return refusal(event, 401);
  }
}

async function refuseForm(event: RequestEvent, rule: RouteRule): Promise<Response | undefined> {
  const { locals, request, url } = event;
  const body = request.method === 'POST' && bodyRuleOf(rule, pageOf(url).action);
  if (!body) return refusal(event, 405, { allow: 'GET, HEAD, OPTIONS' });
  // SvelteKit checks the origin only for the content types of forms.
  if (request.headers.get('origin') !== url.origin) return refusal(event, 403);
  const admissions = [rule.access, body.access].map((access) => admit(access, locals.session));
  if (admissions.includes('sign-in')) return signInBefore(event, body);
  if (admissions.includes('forbidden')) return refusal(event, 403);
  return refuseBody(event, body);
}

async function refuseBody(event: RequestEvent, rule: BodyRule): Promise<Response | undefined> {
  const read = await readBody(event.request, rule);
  if (!(read instanceof Request)) {
    return refusal(event, read, read === 408 ? { connection: 'close' } : {});
  }
  event.request = read;
  return undefined;
}

/** Redirects to the sign-in page. The fields of a small form are kept as a draft. */
async function signInBefore(event: RequestEvent, rule: BodyRule): Promise<Response> {
  switch (rule.contentType) {
    case 'application/x-www-form-urlencoded': {
      const refused = await refuseBody(event, rule);
      return refused ?? signInFirst(event, await event.request.formData());
    }
    case 'multipart/form-data':
      return redirect(303, signInPath(pageOf(event.url).page));
    case 'text/csv':
      return refusal(event, 401);
  }
}
