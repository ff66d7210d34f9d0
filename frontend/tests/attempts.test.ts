import { expect, it, vi } from 'vitest';

import { accountOf, mayTry } from '../src/lib/server/attempts';

vi.mock('../src/lib/server/log', () => ({ log: vi.fn(), reason: String }));
vi.mock('../src/lib/server/sealed', async () => {
  const { createSeal } = await import('../src/lib/server/seal');
  const seal = createSeal('a secret of more than thirty-two characters');
  return { sealed: () => seal };
});

type Event = Parameters<typeof mayTry>[0];

/** A request from an address, with an API whose POST is `post`. */
function browser(
  post: () => Promise<{ response: Response; error?: unknown }>,
  address = '192.0.2.1',
) {
  const POST = vi.fn(post);
  const event = {
    cookies: { get: () => undefined },
    getClientAddress: () => address,
    locals: { api: { POST } },
  } as unknown as Event;
  return { event, POST };
}

const answering = (status: number, kind?: string) => () =>
  Promise.resolve({
    response: new Response(null, { status }),
    ...(kind && { error: { type: `https://cauce.example/problems/${kind}` } }),
  });

it('an attempt is allowed or refused by the API, which counts for all processes', async () => {
  const allowed = browser(answering(204));
  for (let tries = 0; tries < 50; tries += 1) {
    expect(await mayTry(allowed.event, 'sign-in', 'ana@example.com')).toBe(true);
  }
  const refused = browser(answering(429, 'too-many-tries'));
  expect(await mayTry(refused.event, 'sign-in', 'ana@example.com')).toBe(false);
});

it('an attempt is counted here when API Gateway throttles the call', async () => {
  const busy = browser(answering(429), '192.0.2.77');
  expect(await mayTry(busy.event, 'sign-in', 'ana@example.com')).toBe(true);
});

it('the account is sent as a hash of the address in lower case', async () => {
  const { event, POST } = browser(answering(204));
  await mayTry(event, 'mail', ' Ana@Example.com');
  const [, options] = POST.mock.calls[0] as unknown as [string, { body: unknown }];
  expect(options.body).toEqual({
    kind: 'mail',
    account: accountOf('ana@example.com'),
    known: false,
    succeeded: false,
  });
  expect(JSON.stringify(options.body)).not.toContain('ana@');
});

it('an attempt is counted here while the API does not answer', async () => {
  const failures = [answering(503), () => Promise.reject(new Error('unreachable'))];
  for (const [index, failing] of failures.entries()) {
    const email = `ana${index}@example.com`;
    const { event } = browser(failing);
    for (let tries = 0; tries < 10; tries += 1) {
      expect(await mayTry(event, 'sign-in', email)).toBe(true);
    }
    expect(await mayTry(event, 'sign-in', email)).toBe(false);
    const elsewhere = browser(failing, '192.0.2.2');
    expect(await mayTry(elsewhere.event, 'sign-in', email)).toBe(true);
  }
});
