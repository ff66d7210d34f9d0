import { parse } from 'csv-parse/sync';
import { describe, expect, it } from 'vitest';

import { MAX_BYTES, MAX_LINES, NOTHING, add, cut } from '../src/routes/staff/catalogue/import/file';

const bytes = (text: string) => new TextEncoder().encode(text).buffer as ArrayBuffer;

function pieces(text: string) {
  const whole = cut(bytes(text), parse);
  if (!whole.ok) throw new Error(whole.fault.kind);
  return whole.pieces;
}

function fault(content: string | ArrayBuffer) {
  const whole = cut(typeof content === 'string' ? bytes(content) : content, parse);
  return whole.ok ? undefined : whole.fault;
}

describe('a file', () => {
  it('is split between rows, and each piece has the header row', () => {
    const rows = Array.from({ length: 1_100 }, (_, row) => `TEA-${row}`);
    const cuts = pieces(['sku', ...rows].join('\r\n'));
    expect(cuts.map(({ firstLine }) => firstLine)).toEqual([2, 502, 1_002]);
    expect(cuts[1]?.text.split('\n').slice(0, 2)).toEqual(['sku', 'TEA-500']);
    const all = cuts.flatMap(({ text }) => text.split('\n').slice(1));
    expect(all).toEqual(rows);
  });

  it('keeps a line break within a cell, and counts its lines', () => {
    const text = '\ufeffsku,title\nA,"two\nlines"\nB,b\n\nC,c\n';
    expect(pieces(text)).toEqual([
      { text: 'sku,title\nA,"two\nlines"\nB,b', firstLine: 2 },
      { text: 'sku,title\nC,c', firstLine: 6 },
    ]);
  });

  it('makes smaller pieces of longer rows', () => {
    const row = `A,${'x'.repeat(60_000)}`;
    expect(pieces(['sku,title', row, row, row].join('\n'))).toHaveLength(3);
  });

  it('is refused as a whole if it is not valid', () => {
    expect(fault('')).toEqual({ kind: 'empty' });
    expect(fault('sku,title\n\n')).toEqual({ kind: 'empty' });
    expect(fault(new Uint8Array([0x73, 0xe9, 0x0a]).buffer)).toEqual({ kind: 'encoding' });
    expect(fault('sku\nA\n"B\nC')).toEqual({ kind: 'malformed', line: 4 });
    expect(fault(`sku\n${'A\n'.repeat(MAX_LINES)}`)).toEqual({ kind: 'tooManyLines' });
    expect(fault(new ArrayBuffer(MAX_BYTES + 1))).toEqual({ kind: 'tooLarge' });
  });
});

it('adds up the outcomes of the rows, and keeps the refused ones', () => {
  const refused = { line: 3, sku: 'B', outcome: 'refused' as const };
  const report = {
    import: '0197',
    dry_run: false,
    created: 1,
    changed: 0,
    unchanged: 0,
    refused: 1,
    rows: [{ line: 2, sku: 'A', outcome: 'created' as const }, refused],
  };
  const tally = add(add(NOTHING, report), report);
  expect(tally).toEqual({
    created: 2,
    changed: 0,
    unchanged: 0,
    refused: 2,
    rows: [refused, refused],
  });
});
