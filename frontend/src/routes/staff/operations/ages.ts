/** How long work has been waiting, by provider. */
import type { Parked, Provider } from '$lib/server/api';

const MINUTE = 60 * 1000;

/** The upper bounds, in milliseconds. */
export const AGES = [
  { name: 'minutes', below: 5 * MINUTE },
  { name: 'hour', below: 60 * MINUTE },
  { name: 'day', below: 24 * 60 * MINUTE },
  { name: 'longer', below: Infinity },
] as const;

export type Age = (typeof AGES)[number]['name'];
export type Counts = Record<Provider, Record<Age, number>>;

export function countByAge(parked: readonly Parked[], now: number): Counts {
  const none = { minutes: 0, hour: 0, day: 0, longer: 0 };
  const counts: Counts = { payments: { ...none }, shipping: { ...none } };
  for (const { wait } of parked) counts[wait.provider][ageOf(wait.since, now)] += 1;
  return counts;
}

function ageOf(since: string, now: number): Age {
  const age = now - Date.parse(since);
  return AGES.find(({ below }) => age < below)?.name ?? 'longer';
}
