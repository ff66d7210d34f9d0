/**
 * A file of products, cut into pieces that the API takes, and what became of its rows. Pure rules, in
 * the browser as on the server; each brings the parser that is made for it.
 */
import type { parse as Parse } from 'csv-parse/sync';

import type { ImportReport, ImportedRow } from '$lib/server/api';

/** The most rows of a piece. */
const MAX_ROWS = 500;
/** In characters: what a server of ours takes at once is 512 KiB. */
const MAX_LENGTH = 100_000;
/** The most lines of a file, as the API has it. */
export const MAX_LINES = 20_000;
/** In bytes. */
export const MAX_BYTES = 8_000_000;

export type Piece = {
  /** The line that names the columns, and some rows. */
  text: string;
  /** In which line of the file the first of the rows begins. */
  firstLine: number;
};

/** What is wrong with a file as a whole, so that nothing of it is sent. */
export type FileFault =
  | { kind: 'empty' | 'encoding' | 'tooLarge' | 'tooManyLines' }
  | { kind: 'malformed'; line: number };

export type Cut = { ok: true; pieces: Piece[] } | { ok: false; fault: FileFault };

/** What became of the rows so far; of the rows themselves, those that were refused. */
export type Tally = Omit<ImportReport, 'import' | 'dry_run' | 'rows'> & { rows: ImportedRow[] };

export const NOTHING: Tally = { created: 0, changed: 0, unchanged: 0, refused: 0, rows: [] };

export function cut(bytes: ArrayBuffer, parse: typeof Parse): Cut {
  const fault = (fault: FileFault): Cut => ({ ok: false, fault });
  if (bytes.byteLength > MAX_BYTES) return fault({ kind: 'tooLarge' });
  const text = decode(bytes);
  if (text === undefined) return fault({ kind: 'encoding' });
  try {
    const records = recordsOf(text, parse);
    if (records.length < 2) return fault({ kind: 'empty' });
    if ((records.at(-1)?.line ?? 0) > MAX_LINES) return fault({ kind: 'tooManyLines' });
    return { ok: true, pieces: piecesOf(records) };
  } catch (error) {
    const line = (error as { lines?: number }).lines ?? 1;
    return fault({ kind: 'malformed', line });
  }
}

export function add(tally: Tally, report: ImportReport): Tally {
  return {
    created: tally.created + report.created,
    changed: tally.changed + report.changed,
    unchanged: tally.unchanged + report.unchanged,
    refused: tally.refused + report.refused,
    rows: [...tally.rows, ...report.rows.filter(({ outcome }) => outcome === 'refused')],
  };
}

function decode(bytes: ArrayBuffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

type Record = { raw: string; line: number };

/** The records as they stand in the file, each with the line that it begins in; no blank lines. */
function recordsOf(text: string, parse: typeof Parse): Record[] {
  const parsed = parse(text, { bom: true, raw: true, info: true, relax_column_count: true });
  let line = 1;
  const records = (parsed as unknown as { raw: string; info: { lines: number } }[]).map(
    ({ raw, info }) => {
      const record = { raw: raw.trimEnd(), line };
      line = info.lines + 1;
      return record;
    },
  );
  return records.filter(({ raw }) => raw !== '');
}

function piecesOf([header, ...rows]: Record[]): Piece[] {
  const pieces: { rows: Record[]; length: number }[] = [];
  for (const row of rows) {
    const last = pieces.at(-1);
    const previous = last?.rows.at(-1);
    // A piece's lines follow each other, so that the API can tell each row's from the first one's.
    const follows = previous && row.line === previous.line + previous.raw.split('\n').length;
    const fits = last && last.rows.length < MAX_ROWS && last.length + row.raw.length < MAX_LENGTH;
    if (last && follows && fits) {
      last.rows.push(row);
      last.length += row.raw.length;
    } else pieces.push({ rows: [row], length: row.raw.length });
  }
  return pieces.map(({ rows }) => ({
    text: [header, ...rows].map((record) => record?.raw).join('\n'),
    firstLine: rows[0]?.line ?? 2,
  }));
}
