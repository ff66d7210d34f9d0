/** The W3C trace that a request belongs to, carried from the edge to the API. */
import { randomBytes } from 'node:crypto';

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-|$)/;
const NO_ID = '0'.repeat(32);

/** The id in a `traceparent` header, or a new one where there is none or a malformed one. */
export function traceId(traceparent: string | null): string {
  const id = TRACEPARENT.exec(traceparent ?? '')?.[1];
  return id && id !== NO_ID ? id : randomBytes(16).toString('hex');
}

/** The header that carries the trace on, with a span of this call's own. */
export function traceparent(traceId: string): string {
  return `00-${traceId}-${randomBytes(8).toString('hex')}-01`;
}
