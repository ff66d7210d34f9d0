/** How long a session lasts: in total, and without activity. Pure rules. */
import { SHOPPER } from '$lib/role';

/** In seconds. */
type Lifetime = { total: number; idle: number };

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** As long as Cognito accepts a refresh token: shoppers stay signed in. */
const SHOPPERS: Lifetime = { total: 30 * DAY, idle: 30 * DAY };
/** A working day, and a short break: a stolen staff session does more harm. */
const STAFF: Lifetime = { total: 12 * HOUR, idle: 30 * MINUTE };
/** Activity is recorded at most this often, so that not every page sets a cookie. */
const NOTED_EVERY = MINUTE;

/** When a session began and when it was last active, in Unix seconds. */
export type Times = { begunAt: number; activeAt: number };

/** The seconds that a session with these roles still lasts; 0 if it has ended. */
export function secondsLeft(times: Times, roles: readonly string[], now: number): number {
  const { total, idle } = lifetime(roles);
  const ends = Math.min(times.begunAt + total, times.activeAt + idle);
  return Math.max(0, Math.floor(ends - now));
}

/** The seconds until it ends regardless of activity. */
export function secondsAtMost(times: Times, roles: readonly string[], now: number): number {
  return Math.max(0, Math.floor(times.begunAt + lifetime(roles).total - now));
}

/** The seconds that it lasts without activity. */
export function secondsIdle(roles: readonly string[]): number {
  return lifetime(roles).idle;
}

function lifetime(roles: readonly string[]): Lifetime {
  return roles.some((role) => role !== SHOPPER) ? STAFF : SHOPPERS;
}

/** Whether activity at this time should be recorded. */
export function isNoteworthy(times: Times, now: number): boolean {
  return now - times.activeAt >= NOTED_EVERY;
}
