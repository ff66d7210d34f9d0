/** Sends a file piece by piece, so that the page can show the progress. */
import type { ImportReport } from '$lib/server/api';

import { type FileFault, NOTHING, type Tally, add, cut } from './file';

export type Progress = { done: number; of: number; tally: Tally };
export type End =
  | { kind: 'done'; tally: Tally }
  | { kind: 'fault'; fault: FileFault }
  /**
   * It was interrupted; the pieces before that are saved. `detail` is empty if the shop did not
   * answer.
   */
  | { kind: 'refused'; tally: Tally; detail: string };

export async function send(
  upload: File,
  dryRun: boolean,
  onward: (progress: Progress) => void,
): Promise<End> {
  const { parse } = await import('csv-parse/browser/esm/sync');
  const whole = cut(await upload.arrayBuffer(), parse);
  if (!whole.ok) return { kind: 'fault', fault: whole.fault };

  let tally = NOTHING;
  const file = crypto.randomUUID();
  const of = whole.pieces.length;
  for (const [done, { firstLine, text }] of whole.pieces.entries()) {
    onward({ done, of, tally });
    const query = new URLSearchParams({ file, 'first-line': `${firstLine}` });
    if (dryRun) query.set('dry-run', '');
    const answer = await post(`/staff/catalogue/import/piece?${query}`, text);
    if ('detail' in answer) return { kind: 'refused', tally, detail: answer.detail };
    tally = add(tally, answer);
  }
  return { kind: 'done', tally };
}

async function post(address: string, body: string): Promise<ImportReport | { detail: string }> {
  try {
    const headers = { 'content-type': 'text/csv' };
    const answer = await fetch(address, { method: 'POST', headers, body });
    if (answer.ok) return await answer.json();
    if (answer.status === 422) return { detail: (await answer.json()).detail ?? '' };
  } catch {
    // Offline or interrupted: the same as no response.
  }
  return { detail: '' };
}
