import { randomUUID } from 'node:crypto';

import { parse } from 'csv-parse/sync';

import { fail } from '@sveltejs/kit';

import { signInFirst } from '$lib/server/draft';
import { ownForm } from '$lib/server/own-form';
import { sendPiece } from '$lib/server/product-file';

import type { Actions } from './$types';
import { type FileFault, NOTHING, type Tally, add, cut } from './file';

type Answer = {
  tally: Tally;
  dryRun: boolean;
  fault?: FileFault | { kind: 'none' };
  /** The API's error for the whole file; empty if it did not answer. */
  refused?: string;
};

export const actions: Actions = {
  /** Without JavaScript: the whole file at once. */
  default: async (event) => {
    const { locals } = event;
    const { form } = await ownForm(event);
    const dryRun = form.has('dry-run');
    const upload = form.get('file');
    const again = (status: number, answer: Partial<Answer>) =>
      fail(status, { tally: NOTHING, dryRun, ...answer } as Answer);
    if (!(upload instanceof File) || upload.size === 0) {
      return again(422, { fault: { kind: 'none' } });
    }
    const whole = cut(await upload.arrayBuffer(), parse);
    if (!whole.ok) return again(422, { fault: whole.fault });

    let tally = NOTHING;
    const file = randomUUID();
    for (const piece of whole.pieces) {
      const sent = await sendPiece(locals.api, { ...piece, file, dryRun });
      if (!sent.ok) {
        const { kind, detail = '' } = sent.problem;
        if (kind === 'unauthorized') return signInFirst(event, form);
        return again(409, { tally, refused: kind === 'validation' ? detail : '' });
      }
      tally = add(tally, sent.value);
    }
    return { tally, dryRun } as Answer;
  },
};
