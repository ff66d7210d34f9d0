/** Counts tries in this process's memory. */
import { LRUCache } from 'lru-cache';

/** So many names are remembered; the one that was used least recently is forgotten first. */
const NAMES = 50_000;

type Window = { tries: number; endsAt: number };

/** A function that counts one more try under a name, and answers whether it is within the limit. */
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
