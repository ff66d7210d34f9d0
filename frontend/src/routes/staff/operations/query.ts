/** The query of the console's URL: which pages of its lists are shown. */
import { isProvider } from '$lib/ids';
import type { OperationsQuery } from '$lib/server/operations-view';

export function readQuery(search: URLSearchParams): OperationsQuery {
  const provider = search.get('provider');
  return {
    provider: isProvider(provider) ? provider : undefined,
    parkedCursor: search.get('parked') || undefined,
    attentionCursor: search.get('attention') || undefined,
  };
}

export function searchOf(query: OperationsQuery): URLSearchParams {
  const { provider, parkedCursor, attentionCursor } = query;
  return new URLSearchParams({
    ...(provider && { provider }),
    ...(parkedCursor && { parked: parkedCursor }),
    ...(attentionCursor && { attention: attentionCursor }),
  });
}

/** The URL of the console, or of one of its lists. */
export function hrefOf(query: OperationsQuery, list?: 'parked' | 'attention'): string {
  const search = searchOf(query).toString();
  return `/staff/operations${search && `?${search}`}${list ? `#${list}` : ''}`;
}
