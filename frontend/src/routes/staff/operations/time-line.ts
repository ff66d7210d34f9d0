/** Where on a time line the states of a circuit lie. Times are in milliseconds. */
import type { Circuit, CircuitChange, Forced } from '$lib/server/api';
import type { Tone } from '$lib/tone';

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

/** What calls meet: what is forced, else the circuit's own state. */
export type Look = Circuit['state'] | Forced;

export type Stretch = { look: Look; forced: boolean; from: number; to: number };
export type Window = { from: number; to: number };

export function lookOf(state: Circuit['state'], forced: Forced | null | undefined): Look {
  return forced ?? state;
}

/** As far back as there is something to see, but an hour at least and a day at most. */
export function windowOf(circuits: readonly Pick<Circuit, 'history'>[], now: number): Window {
  const times = circuits.flatMap(({ history }) => history.map(({ at }) => Date.parse(at)));
  const oldest = Math.min(now, ...times);
  return { from: Math.max(now - DAY, Math.min(oldest, now - HOUR)), to: now };
}

/** The states one after the other, without a gap from the window's beginning to its end. */
export function stretches(
  { state, forced, history }: Pick<Circuit, 'state' | 'forced' | 'history'>,
  window: Window,
): Stretch[] {
  const changes = history.toReversed();
  const first = changes[0];
  const states = [
    {
      at: -Infinity,
      look: first?.from ?? lookOf(state, forced?.force),
      forced: !first && !!forced,
    },
    ...changes.map(after),
  ];
  const found: Stretch[] = [];
  states.forEach((it, index) => {
    const from = Math.max(it.at, window.from);
    const to = Math.min(states[index + 1]?.at ?? window.to, window.to);
    if (to <= from) return;
    const last = found.at(-1);
    // A probe that fails is a change in which nothing changes.
    if (last && last.look === it.look && last.forced === it.forced) last.to = to;
    else found.push({ look: it.look, forced: it.forced, from, to });
  });
  return found;
}

function after(change: CircuitChange): { at: number; look: Look; forced: boolean } {
  const { at, to, forced } = change;
  return { at: Date.parse(at), look: lookOf(to, forced), forced: Boolean(forced) };
}

/** Where `time` is in a drawing that is `width` wide. */
export function place(time: number, { from, to }: Window, width: number): number {
  return ((time - from) / (to - from)) * width;
}

/** `count` times at equal distances, the window's beginning and end included. */
export function ticks({ from, to }: Window, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
}

/** How well it is to meet that. */
export const TONES = {
  closed: 'good',
  half_open: 'wait',
  open: 'bad',
  disabled: 'wait',
} as const satisfies Record<Look, Tone>;
