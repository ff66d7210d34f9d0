/** A connection that fails after the shop has done what it was asked for, as a browser sees it. */
import type { Page, Request, Route } from '@playwright/test';

import './localhost';
import { stack } from './stack';

export type End = 'dropped' | '502';

/**
 * Lets the shop accept what the checkout sends next. Its answer, with its cookies, never comes to the
 * browser.
 */
export async function losesTheNextAnswer(page: Page, end: End = 'dropped'): Promise<void> {
  const losesIt = async (route: Route) => {
    // The browser gets the first answer, which sends it on.
    const first = await route.fetch({ maxRedirects: 0 });
    const location = new URL(first.headers().location ?? '', stack.site);
    await acceptedAt(location, route.request(), await cookiesOf(page));
    if (end === 'dropped') return route.abort('connectionreset');
    return route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' });
  };
  await page.route('**/checkout/attempt*', losesIt, { times: 1 });
}

/** Sends the form past the browser, which is to know nothing of what comes of it. */
async function acceptedAt(address: URL, request: Request, cookie: string): Promise<void> {
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
