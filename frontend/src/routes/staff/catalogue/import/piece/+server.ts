/**
 * Hands a piece of a file on to the API. No other site can send one here: `text/csv` is nothing that a
 * browser sends across sites without asking first.
 */
import { error, json } from '@sveltejs/kit';

import { sendPiece } from '$lib/server/product-file';

import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ locals, request, url }) => {
  if (!locals.session) error(401, 'unauthorized');
  if (request.headers.get('content-type') !== 'text/csv') error(415, 'validation');
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
