/** Polls an order while its page is open; less often while it waits for a provider. */
import { isFinal } from '$lib/order-progress';
import type { OrderWithEvents } from '$lib/server/order-view';

export type Pace = {
  soonMs: number;
  /** While the order waits for a provider, and after a request without a response. */
  laterMs: number;
};

/** Calls `seen` with every response until the order is final. Returns a function that stops it. */
export function follow(
  start: OrderWithEvents,
  /** The path that returns the current order. */
  address: string,
  pace: Pace,
  seen: (view: OrderWithEvents) => void,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  function plan(view: OrderWithEvents | undefined): void {
    if (stopped || (view && isFinal(view.order))) return;
    timer = setTimeout(ask, view && !view.order.wait ? pace.soonMs : pace.laterMs);
  }

  async function ask(): Promise<void> {
    // A hidden page is not updated.
    const view = document.hidden ? undefined : await fetchView(address);
    if (view && !stopped) seen(view);
    plan(view);
  }

  plan(start);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

async function fetchView(address: string): Promise<OrderWithEvents | undefined> {
  try {
    const answer = await fetch(address);
    return answer.ok ? await answer.json() : undefined;
  } catch {
    // Offline for a moment: the next request may succeed.
    return undefined;
  }
}
