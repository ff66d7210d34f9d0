/** Imports and exports product files through the API, piece by piece. */
import { type Api, type ImportReport, type Result, outcome } from './api';

export type Sent = {
  /** The id of the import: the same for all pieces of the file. */
  file: string;
  firstLine: number;
  /** Whether to report only what would be done. */
  dryRun: boolean;
  text: string;
};

export function sendPiece(
  api: Api,
  { file, firstLine, dryRun, text }: Sent,
): Promise<Result<ImportReport>> {
  return outcome(
    api.POST('/v1/products/import', {
      params: { query: { import: file, first_line: firstLine, dry_run: dryRun } },
      headers: { 'content-type': 'text/csv' },
      body: text,
      bodySerializer: (text) => text,
    }),
  );
}

export type Page = { text: string; next: string | undefined };

export async function readPage(api: Api, cursor: string | undefined): Promise<Result<Page>> {
  const call = api.GET('/v1/products/export', {
    params: { query: cursor ? { cursor } : {} },
    parseAs: 'text',
  });
  const read = await outcome(call);
  if (!read.ok) return read;
  const link = (await call).response.headers.get('link') ?? '';
  const [, target] = /<([^>]*)>;\s*rel="?next"?/.exec(link) ?? [];
  const query = target && URL.parse(target, 'http://cauce.invalid')?.searchParams;
  return {
    ok: true,
    value: { text: read.value, next: (query && query.get('cursor')) || undefined },
  };
}
