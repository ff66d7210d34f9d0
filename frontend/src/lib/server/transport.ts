/** Sends a request to the API, and retries if its gateway has no backend. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long one call may take, retries included. */
const DEADLINE_MS = 10_000;
const ATTEMPTS = 3;
/** The pause before the second attempt is up to this long, before the third up to twice as long. */
const PAUSE_MS = 200;
/** The statuses of a gateway that has no backend. */
const TRY_AGAIN = [502, 503, 504];

/**
 * A POST is as safe to retry as a GET: it carries an idempotency key, or is a staff command that
 * has no effect the second time.
 */
export async function send(request: Request): Promise<Response> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  for (let attempt = 1; ; attempt += 1) {
    const last = attempt === ATTEMPTS;
    try {
      // The API never redirects, and following a redirect could send the token to another host.
      const answer = await fetch(request.clone(), { signal, redirect: 'error' });
      if (last || !TRY_AGAIN.includes(answer.status)) return answer;
      await answer.body?.cancel();
    } catch (error) {
      if (last || signal.aborted) throw error;
    }
    await sleep(Math.random() * PAUSE_MS * attempt);
  }
}
