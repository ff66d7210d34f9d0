/** Failure and slow rates over time: from the history, and from polling while the page is open. */
import type { Circuit, Provider } from '$lib/server/api';

import type { Columns } from './chart';

/** The rates of a circuit at a time, in seconds. */
export type Sample = { at: number; provider: Provider; failure: number; slow: number };

/** The maximum samples of both circuits. */
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

/** The samples of both lists, without duplicates, by time. The oldest are dropped. */
export function joined(known: readonly Sample[], newer: readonly Sample[]): Sample[] {
  const all = new Map([...known, ...newer].map((it) => [`${it.provider} ${it.at}`, it]));
  const inOrder = [...all.values()].sort((a, b) => a.at - b.at);
  return thinned(inOrder).slice(-MOST);
}

/** Without the samples that equal both their neighbours of the same circuit. */
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
