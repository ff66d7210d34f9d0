/** All products as one file, streamed page by page. */
import { error } from '@sveltejs/kit';

import { log } from '$lib/server/log';
import { readPage } from '$lib/server/product-file';

import type { RequestHandler } from './$types';

export const GET: RequestHandler = async ({ locals }) => {
  const first = await readPage(locals.api, undefined);
  if (!first.ok) error(first.problem.kind === 'forbidden' ? 403 : 503, first.problem.kind);
  let page: typeof first.value | undefined = first.value;
  const body = new ReadableStream<string>({
    async pull(controller) {
      if (!page) return controller.close();
      controller.enqueue(page.text);
      if (!page.next) return controller.close();
      const next = await readPage(locals.api, page.next);
      if (next.ok) {
        page = next.value;
        return;
      }
      // A file that ends early must not look complete.
      log('ERROR', 'export.broken_off', { kind: next.problem.kind });
      controller.error(new Error(next.problem.kind));
    },
  });
  return new Response(body.pipeThrough(new TextEncoderStream()), {
    headers: {
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': 'attachment; filename="products.csv"',
      'cache-control': 'no-store',
    },
  });
};
