import type { Cookies } from '@sveltejs/kit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Tokens } from '../src/lib/server/cognito';
import * as cognito from '../src/lib/server/cognito';
import { begin, current, end, renewed } from '../src/lib/server/session';

vi.mock('../src/lib/server/cognito');
vi.mock('../src/lib/server/log', () => ({ log: vi.fn(), reason: String }));
vi.mock('../src/lib/server/sealed', async () => {
  const { createSeal } = await import('../src/lib/server/seal');
  const seal = createSeal('a secret of more than thirty-two characters');
  return { sealed: () => seal };
});

const MINUTE = 60_000;

/** A browser that never deletes a cookie. */
class Browser {
  readonly jar = new Map<string, string>();

  get cookies(): Cookies {
    return {
      get: (name: string) => this.jar.get(name),
      set: (name: string, value: string) => void this.jar.set(name, value),
      delete: () => undefined,
    } as unknown as Cookies;
  }

  /** A request with the present cookies. Its response arrives when `arrives` is called. */
  sends(): { cookies: Cookies; arrives: () => void } {
    const [sent, answered] = [new Map(this.jar), new Map<string, string>()];
    const cookies = {
      get: (name: string) => sent.get(name),
      set: (name: string, value: string) => void answered.set(name, value),
      delete: () => undefined,
    } as unknown as Cookies;
    return { cookies, arrives: () => answered.forEach((value, name) => this.jar.set(name, value)) };
  }
}

function jwt(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.x`;
}

function tokens(roles: string[], secondFactor = false): Tokens {
  return {
    accessToken: jwt({ sub: 'ana', 'cognito:groups': roles }),
    refreshToken: 'refresh',
    email: 'ana@example.com',
    expiresIn: 15 * 60,
    secondFactor,
  };
}

/** Makes Cognito renew every session with these roles. */
function cognitoRenews(roles: string[]): void {
  vi.mocked(cognito.renew).mockImplementation((kept) =>
    Promise.resolve({ ok: true, value: tokens(roles, kept.secondFactor) }),
  );
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.resetAllMocks();
});

describe('a session of staff', () => {
  const STAFF = ['shopper', 'operator'];

  it('ends after half an hour without activity, even if the browser keeps its cookies', async () => {
    cognitoRenews(STAFF);
    const { cookies } = new Browser();
    await begin(cookies, tokens(STAFF));
    vi.advanceTimersByTime(29 * MINUTE);
    expect(await current(cookies)).toMatchObject({ subject: 'ana' });
    vi.advanceTimersByTime(31 * MINUTE);
    expect(await current(cookies)).toBeUndefined();
  });

  it('is extended by the user and not by a page that polls', async () => {
    cognitoRenews(STAFF);
    const { cookies } = new Browser();
    await begin(cookies, tokens(STAFF));
    for (let minute = 0; minute < 29; minute += 1) {
      vi.advanceTimersByTime(MINUTE);
      expect(await current(cookies, 'page')).toBeDefined();
    }
    vi.advanceTimersByTime(2 * MINUTE);
    expect(await current(cookies, 'page')).toBeUndefined();
  });

  it('ends after twelve hours of work', async () => {
    cognitoRenews(STAFF);
    const { cookies } = new Browser();
    await begin(cookies, tokens(STAFF));
    for (let minute = 0; minute < 12 * 60 - 10; minute += 10) {
      vi.advanceTimersByTime(10 * MINUTE);
      expect(await current(cookies)).toBeDefined();
    }
    vi.advanceTimersByTime(11 * MINUTE);
    expect(await current(cookies)).toBeUndefined();
  });
});

it('a session of a shopper lasts for weeks', async () => {
  cognitoRenews(['shopper']);
  const { cookies } = new Browser();
  await begin(cookies, tokens(['shopper']));
  vi.advanceTimersByTime(29 * 24 * 60 * MINUTE);
  expect(await current(cookies)).toBeDefined();
  vi.advanceTimersByTime(31 * 24 * 60 * MINUTE);
  expect(await current(cookies)).toBeUndefined();
});

it('a session sends at each renewal whether it began with a second factor', async () => {
  for (const secondFactor of [true, false]) {
    cognitoRenews(['shopper', 'support']);
    const { cookies } = new Browser();
    await begin(cookies, tokens(['shopper', 'support'], secondFactor));
    for (let renewals = 0; renewals < 3; renewals += 1) {
      vi.advanceTimersByTime(20 * MINUTE);
      await current(cookies);
    }
    const calls = vi.mocked(cognito.renew).mock.calls.map(([kept]) => kept.secondFactor);
    expect(calls).toEqual([secondFactor, secondFactor, secondFactor]);
    vi.mocked(cognito.renew).mockClear();
  }
});

it('a new refresh token is not overwritten by a concurrent request', async () => {
  const browser = new Browser();
  await begin(browser.cookies, tokens(['shopper']));
  vi.advanceTimersByTime(2 * MINUTE);
  const [renewing, other] = [browser.sends(), browser.sends()];
  const rotated = { ...tokens(['shopper']), refreshToken: 'rotated' };
  vi.mocked(cognito.renew).mockResolvedValue({ ok: true, value: rotated });
  await renewed(renewing.cookies);
  await current(other.cookies);
  renewing.arrives();
  other.arrives();

  vi.advanceTimersByTime(15 * MINUTE);
  expect(await current(browser.cookies)).toBeDefined();
  expect(vi.mocked(cognito.renew).mock.lastCall?.[0].refreshToken).toBe('rotated');
});

it('the activity of one session does not extend another', async () => {
  cognitoRenews(['operator']);
  const [left, used] = [new Browser(), new Browser()];
  await begin(left.cookies, tokens(['operator']));
  vi.advanceTimersByTime(MINUTE);
  await begin(used.cookies, tokens(['operator']));
  vi.advanceTimersByTime(29 * MINUTE);
  await current(used.cookies);
  const activity = '__Host-cauce_activity';
  left.jar.set(activity, used.jar.get(activity) ?? '');
  vi.advanceTimersByTime(2 * MINUTE);
  expect(await current(used.cookies)).toBeDefined();
  expect(await current(left.cookies)).toBeUndefined();
});

it('a sign-out revokes the refresh token', async () => {
  const { cookies } = new Browser();
  await begin(cookies, tokens(['shopper']));
  await end(cookies);
  expect(cognito.revoke).toHaveBeenCalledWith('refresh');
});
