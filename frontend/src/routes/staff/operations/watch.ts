/** Polls the console while its page is open and visible. */
import type { Operations } from '$lib/server/operations-view';

const EVERY_MS = 5_000;
/** After a request without a response, and while signed out. */
const LATER_MS = 10_000;

export type Seen = Operations | 'no-answer' | 'signed-out';

/** Calls `seen` with every result. Returns a function that stops it. */
export function watch(query: URLSearchParams, seen: (it: Seen) => void): () => void {
  let timer = setTimeout(ask, EVERY_MS);
  const stop = new AbortController();

  async function ask(): Promise<void> {
    const answer = document.hidden ? undefined : await look(query, stop.signal);
    if (stop.signal.aborted) return;
    if (answer) seen(answer);
    timer = setTimeout(ask, typeof answer === 'string' ? LATER_MS : EVERY_MS);
  }

  return () => {
    stop.abort();
    clearTimeout(timer);
  };
}

async function look(query: URLSearchParams, signal: AbortSignal): Promise<Seen> {
  try {
    const answer = await fetch(`/staff/operations/live?${query}`, { signal });
    if (answer.status === 401 || answer.status === 403) return 'signed-out';
    return answer.ok ? ((await answer.json()) as Operations) : 'no-answer';
  } catch {
    return 'no-answer';
  }
}
