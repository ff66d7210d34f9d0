/** Which part of the lists the console's address asks for. */
import { isProvider } from '$lib/ids';
import type { Wanted } from '$lib/server/operations-view';

export function readWanted(query: URLSearchParams): Wanted {
  const provider = query.get('provider');
  return {
    provider: isProvider(provider) ? provider : undefined,
    parkedCursor: query.get('parked') || undefined,
    attentionCursor: query.get('attention') || undefined,
  };
}

/** The part of an address that asks for it. */
export function queryOf({ provider, parkedCursor, attentionCursor }: Wanted): URLSearchParams {
  return new URLSearchParams({
    ...(provider && { provider }),
    ...(parkedCursor && { parked: parkedCursor }),
    ...(attentionCursor && { attention: attentionCursor }),
  });
}
