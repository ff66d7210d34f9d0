/** Places a circuit's states on a time line. Times are in milliseconds. */
import type { Circuit, CircuitChange, Forced } from '$lib/server/api';
import type { Tone } from '$lib/tone';

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

/** The effective state: the forced one, else the circuit's own. */
export type Look = Circuit['state'] | Forced;

export type Stretch = { look: Look; forced: boolean; from: number; to: number };
export type Window = { from: number; to: number };

export function lookOf(state: Circuit['state'], forced: Forced | null | undefined): Look {
  return forced ?? state;
}

/** Back to the oldest change, but at least an hour and at most a day. */
export function windowOf(circuits: readonly Pick<Circuit, 'history'>[], now: number): Window {
  const times = circuits.flatMap(({ history }) => history.map(({ at }) => Date.parse(at)));
  const oldest = Math.min(now, ...times);
  return { from: Math.max(now - DAY, Math.min(oldest, now - HOUR)), to: now };
}

/** The states in sequence, without gaps from the window's start to its end. */
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
    // A failed probe is a change to the same state.
    if (last && last.look === it.look && last.forced === it.forced) last.to = to;
    else found.push({ look: it.look, forced: it.forced, from, to });
  });
  return found;
}

function after(change: CircuitChange): { at: number; look: Look; forced: boolean } {
  const { at, to, forced } = change;
  return { at: Date.parse(at), look: lookOf(to, forced), forced: Boolean(forced) };
}

/** The x position of `time` in a drawing that is `width` wide. */
export function place(time: number, { from, to }: Window, width: number): number {
  return ((time - from) / (to - from)) * width;
}

/** `count` times at equal distances, including the window's start and end. */
export function ticks({ from, to }: Window, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
}

/** The tone of each state. */
export const TONES = {
  closed: 'good',
  half_open: 'wait',
  open: 'bad',
  disabled: 'wait',
} as const satisfies Record<Look, Tone>;
