/** Forwards a piece of a file to the API. */
import { json } from '@sveltejs/kit';

import { sendPiece } from '$lib/server/product-file';

import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ locals, request, url }) => {
  const sent = await sendPiece(locals.api, {
    file: url.searchParams.get('file') ?? '',
    firstLine: Number(url.searchParams.get('first-line')),
    dryRun: url.searchParams.has('dry-run'),
    text: await request.text(),
  });
  if (sent.ok) return json(sent.value);
  const { kind, detail } = sent.problem;
  const status = { unauthorized: 401, forbidden: 403, validation: 422 }[kind as string] ?? 503;
  return json({ kind, detail }, { status });
};
