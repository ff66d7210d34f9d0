/**
 * Cuts a product file into pieces that the API accepts, and adds up their results. Pure rules for
 * browser and server; each passes in its own build of the parser.
 */
import type { parse as Parse } from 'csv-parse/sync';

import type { ImportReport, ImportedRow } from '$lib/server/api';

/** The maximum rows of a piece. */
const MAX_ROWS = 500;
/** In characters: the server accepts bodies of up to 512 KiB. */
const MAX_LENGTH = 100_000;
/** The maximum lines of a file, as in the API. */
export const MAX_LINES = 20_000;
/** In bytes. */
export const MAX_BYTES = 8_000_000;

export type Piece = {
  /** The header line and some rows. */
  text: string;
  /** The line of the file where its first row begins. */
  firstLine: number;
};

/** Why a file cannot be sent at all. */
export type FileFault =
  | { kind: 'empty' | 'encoding' | 'tooLarge' | 'tooManyLines' }
  | { kind: 'malformed'; line: number };

export type Cut = { ok: true; pieces: Piece[] } | { ok: false; fault: FileFault };

/** The results so far; `rows` has only the refused ones. */
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

/** The records of the file, each with the line where it begins; without blank lines. */
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
    // The lines of a piece are consecutive, so that the API can compute each row's line from the
    // first.
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
