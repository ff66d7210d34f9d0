/** Counts attempts in this process's memory. */
import { LRUCache } from 'lru-cache';

/** How many names are kept; the least recently used is dropped first. */
const NAMES = 50_000;

type Window = { tries: number; endsAt: number };

/**
 * Returns a function that counts an attempt under a name and returns whether it is within the
 * limit.
 */
export function createLimiter(tries: number, windowMs: number) {
  const windows = new LRUCache<string, Window>({ max: NAMES });
  return (name: string, now: number): boolean => {
    const before = windows.get(name);
    const isOver = !before || before.endsAt <= now;
    const window = isOver ? { tries: 0, endsAt: now + windowMs } : before;
    window.tries += 1;
    windows.set(name, window);
    return window.tries <= tries;
  };
}
