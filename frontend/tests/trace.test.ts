import { expect, test } from 'vitest';
import { traceHeaders, traceId } from '../src/lib/server/trace';

const ID = '581cf771a006649127e371903a2de979';

test.each([
  ['of W3C', { traceparent: `00-${ID}-53995c3f42cd8ad8-01` }],
  [
    'of X-Ray',
    { 'x-amzn-trace-id': 'Self=1-2-3;Root=1-581cf771-a006649127e371903a2de979;Sampled=1' },
  ],
  ['of our own', traceHeaders(ID)],
])('a trace %s goes on', (_, headers) => {
  expect(traceId(new Headers(headers))).toBe(ID);
});

test.each([
  ['no header', {}],
  ['a malformed one', { traceparent: '00-1-2-3', 'x-amzn-trace-id': 'Root=1-2-3' }],
  ['an id of zeros', { traceparent: `00-${'0'.repeat(32)}-53995c3f42cd8ad8-01` }],
])('%s begins a new trace, with the time', (_, headers) => {
  const id = traceId(new Headers(headers));
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  const age = Date.now() / 1000 - parseInt(id.slice(0, 8), 16);
  expect(age).toBeGreaterThanOrEqual(0);
  expect(age).toBeLessThan(60);
});
