/** Calendar days in the shop's time zone. */
import { TIME_ZONE } from './format';

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const HOUR_MS = 60 * 60 * 1000;

/** When a day such as `2026-03-29` begins in the shop's time zone; undefined if it is not a day. */
export function startOfDay(day: string): Date | undefined {
  const utc = DAY.test(day) ? Date.parse(`${day}T00:00:00Z`) : NaN;
  // `Date` rejects an invalid day, or rolls it over into the next month.
  if (Number.isNaN(utc) || !new Date(utc).toISOString().startsWith(day)) return undefined;
  // Midnight in Spain is one or two hours before midnight UTC.
  const candidates = [2, 1].map((hours) => new Date(utc - hours * HOUR_MS));
  return candidates.find((it) => hourIn(it) === 0) ?? new Date(utc);
}

/** The day after. */
export function dayAfter(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + 24 * HOUR_MS).toISOString().slice(0, 10);
}

function hourIn(time: Date): number {
  const format = new Intl.DateTimeFormat('en', {
    hour: 'numeric',
    hourCycle: 'h23',
    timeZone: TIME_ZONE,
  });
  return Number(format.format(time));
}
