/** Follows an order while its page is open, sparing the server where nothing is to be expected. */
import { isFinal } from '$lib/order-progress';
import type { OrderWithEvents } from '$lib/server/order-view';

export type Pace = {
  soonMs: number;
  /** While the order waits for a provider, and after a question that got no answer. */
  laterMs: number;
};

/** Tells `seen` of every answer until the order is final. Returns how to stop. */
export function follow(
  start: OrderWithEvents,
  /** Answers with the order as it is now. */
  address: string,
  pace: Pace,
  seen: (view: OrderWithEvents) => void,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  function plan(view: OrderWithEvents | undefined): void {
    if (stopped || (view && isFinal(view.order))) return;
    timer = setTimeout(ask, view && !view.order.hold ? pace.soonMs : pace.laterMs);
  }

  async function ask(): Promise<void> {
    // Nobody looks at a hidden page.
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
    // Off line for a moment; the next question may be answered.
    return undefined;
  }
}
