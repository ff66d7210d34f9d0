/** The trace of a request, passed on from the edge to the API. */
import { randomBytes } from 'node:crypto';

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-|$)/;
const ROOT = /(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})(;|$)/;
const NO_ID = '0'.repeat(32);

/** The id in the W3C or X-Ray headers; a new one if it is missing or malformed. */
export function traceId(headers: Headers): string {
  const [, carried] = TRACEPARENT.exec(headers.get('traceparent') ?? '') ?? [];
  const [, seconds = '', rest = ''] = ROOT.exec(headers.get('x-amzn-trace-id') ?? '') ?? [];
  const id = carried ?? seconds + rest;
  return id && id !== NO_ID ? id : newId();
}

/** The headers that pass the trace on, with a new span for this call. */
export function traceHeaders(traceId: string): Record<string, string> {
  return {
    traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01`,
    'x-amzn-trace-id': `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)}`,
  };
}

/** It begins with the time in seconds, as X-Ray requires. */
function newId(): string {
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return seconds + randomBytes(12).toString('hex');
}
