/** How long a session lasts: in all, and without its person doing anything. Pure rules. */
import { SHOPPER } from '$lib/role';

/** In seconds. */
type Lifetime = { total: number; idle: number };

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** As long as Cognito accepts a refresh token: shoppers stay signed in. */
const SHOPPERS: Lifetime = { total: 30 * DAY, idle: 30 * DAY };
/** A working day, and a coffee: what staff can do is worth more to a thief. */
const STAFF: Lifetime = { total: 12 * HOUR, idle: 30 * MINUTE };
/** Activity is written down at most this often, so that not every page sets a cookie. */
const NOTED_EVERY = MINUTE;

/** When a session began and when its person last did something, in seconds since 1970. */
export type Times = { begunAt: number; activeAt: number };

/** For how many more seconds a session of these roles lasts; none, if it has ended. */
export function secondsLeft(times: Times, roles: readonly string[], now: number): number {
  const { total, idle } = lifetime(roles);
  const ends = Math.min(times.begunAt + total, times.activeAt + idle);
  return Math.max(0, Math.floor(ends - now));
}

/** For how many more seconds it lasts at most, however active its person is. */
export function secondsAtMost(times: Times, roles: readonly string[], now: number): number {
  return Math.max(0, Math.floor(times.begunAt + lifetime(roles).total - now));
}

/** For how many seconds it lasts without its person doing anything. */
export function secondsIdle(roles: readonly string[]): number {
  return lifetime(roles).idle;
}

function lifetime(roles: readonly string[]): Lifetime {
  return roles.some((role) => role !== SHOPPER) ? STAFF : SHOPPERS;
}

/** Whether an activity now is worth writing down. */
export function isNoteworthy(times: Times, now: number): boolean {
  return now - times.activeAt >= NOTED_EVERY;
}
