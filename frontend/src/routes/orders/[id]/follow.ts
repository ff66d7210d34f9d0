/** Follows an order while its page is open, sparing the server where nothing is to be expected. */
import { isFinal } from '$lib/order-progress';
import type { OrderWithEvents } from '$lib/server/order-view';

const SOON_MS = 1_500;
/** While the order waits for a provider, and after a question that got no answer. */
const LATER_MS = 5_000;

/** Tells `seen` of every answer until the order is final. Returns how to stop. */
export function follow(start: OrderWithEvents, seen: (view: OrderWithEvents) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  function plan(view: OrderWithEvents | undefined): void {
    if (stopped || (view && isFinal(view.order))) return;
    timer = setTimeout(ask, view && !view.order.hold ? SOON_MS : LATER_MS);
  }

  async function ask(): Promise<void> {
    // Nobody looks at a hidden page.
    const view = document.hidden ? undefined : await fetchView(start.order.id);
    if (view && !stopped) seen(view);
    plan(view);
  }

  plan(start);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

async function fetchView(id: string): Promise<OrderWithEvents | undefined> {
  try {
    const answer = await fetch(`/orders/${id}/live`);
    return answer.ok ? await answer.json() : undefined;
  } catch {
    // Off line for a moment; the next question may be answered.
    return undefined;
  }
}
