/** A connection that fails after the shop has processed the request. */
import type { Page, Request, Route } from '@playwright/test';

import './localhost';
import { stack } from './stack';

export type End = 'dropped' | '502';

/**
 * Has the shop process the next form of the checkout, but withholds the response and its cookies from the
 * browser.
 */
export async function loseNextResponse(page: Page, end: End = 'dropped'): Promise<void> {
  const lose = async (route: Route) => {
    // The first response only redirects the browser.
    const first = await route.fetch({ maxRedirects: 0 });
    const location = new URL(first.headers().location ?? '', stack.site);
    await submit(location, route.request(), await cookiesOf(page));
    if (end === 'dropped') return route.abort('connectionreset');
    return route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' });
  };
  await page.route('**/checkout/attempt*', lose, { times: 1 });
}

/** Sends the form outside the browser, which must not see the result. */
async function submit(address: URL, request: Request, cookie: string): Promise<void> {
  const { accept = '*/*', origin = stack.site, ...others } = await request.allHeaders();
  const action = others['x-sveltekit-action'];
  const response = await fetch(address, {
    method: 'POST',
    redirect: 'manual',
    body: request.postData() ?? '',
    headers: {
      accept,
      cookie,
      origin,
      'content-type': others['content-type'] ?? '',
      ...(action && { 'x-sveltekit-action': action }),
    },
  });
  if (response.status >= 400) throw new Error(`${address}: ${response.status}`);
}

async function cookiesOf(page: Page): Promise<string> {
  const cookies = await page.context().cookies(stack.site);
  return cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
}
