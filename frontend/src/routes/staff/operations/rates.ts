/** Failure and slow rates over time: from the history, and from what is seen while a page is open. */
import type { Circuit, Provider } from '$lib/server/api';

import type { Columns } from './chart';

/** What one circuit's figures were at a time, in seconds. */
export type Sample = { at: number; provider: Provider; failure: number; slow: number };

/** Of both circuits; what never changes between them is left out. */
const MOST = 240;

export function samplesOf(circuits: readonly Circuit[], at: string): Sample[] {
  const samples = circuits.flatMap(({ provider, figures, history }) => [
    ...history.flatMap((change) =>
      change.figures ? [sample(provider, change.at, change.figures)] : [],
    ),
    sample(provider, at, figures),
  ]);
  return samples.sort((a, b) => a.at - b.at);
}

/** The samples of both, each once, in the order of time; the oldest are let go. */
export function joined(known: readonly Sample[], newer: readonly Sample[]): Sample[] {
  const all = new Map([...known, ...newer].map((it) => [`${it.provider} ${it.at}`, it]));
  const inOrder = [...all.values()].sort((a, b) => a.at - b.at);
  return thinned(inOrder).slice(-MOST);
}

/** Without those that say the same as the ones of their circuit before and after them. */
function thinned(samples: readonly Sample[]): Sample[] {
  const same = (a: Sample | undefined, b: Sample) =>
    a !== undefined && a.failure === b.failure && a.slow === b.slow;
  return samples.filter((it, index) => {
    const before = samples.findLast((other, i) => i < index && other.provider === it.provider);
    const after = samples.find((other, i) => i > index && other.provider === it.provider);
    return !(same(before, it) && same(after, it));
  });
}

export const LINES = [
  { provider: 'payments', rate: 'failure' },
  { provider: 'payments', rate: 'slow' },
  { provider: 'shipping', rate: 'failure' },
  { provider: 'shipping', rate: 'slow' },
] as const;

/** The lines are in the order of `LINES`. */
export function columns(samples: readonly Sample[]): Columns {
  const times = [...new Set(samples.map(({ at }) => at))].sort((a, b) => a - b);
  const taken = new Map(samples.map((it) => [`${it.provider} ${it.at}`, it]));
  const lines = LINES.map(({ provider, rate }) =>
    times.map((at) => taken.get(`${provider} ${at}`)?.[rate] ?? null),
  );
  return [times, ...lines];
}

function sample(provider: Provider, at: string, figures: Circuit['figures']): Sample {
  const { failure_rate: failure, slow_rate: slow } = figures;
  return { at: Math.round(Date.parse(at) / 1000), provider, failure, slow };
}
