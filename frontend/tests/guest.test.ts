import type { Cookies } from '@sveltejs/kit';
import { describe, expect, it, vi } from 'vitest';

vi.mock('../src/lib/server/config', () => ({
  config: () => ({ sessionSecret: 'a secret of more than thirty-two characters', region: 'x' }),
}));
vi.mock('$app/server', () => ({ getRequestEvent: () => undefined }));

const { recall, remember } = await import('../src/lib/server/guest');
const { begin } = await import('../src/lib/server/session');

function browser(): { cookies: Cookies; held: Map<string, string> } {
  const held = new Map<string, string>();
  const cookies = {
    get: (name: string) => held.get(name),
    set: (name: string, value: string) => held.set(name, value),
    delete: (name: string) => held.delete(name),
  };
  return { cookies: cookies as unknown as Cookies, held };
}

describe('signing in', () => {
  it("ends a guest's access to an order", async () => {
    const { cookies, held } = browser();
    await remember(cookies, { number: 'C7K3-F9Q2-MX', email: 'ana@example.com' });
    expect(await recall(cookies)).toBeDefined();
    const tokens = {
      accessToken: 'x',
      refreshToken: 'y',
      email: 'eva@example.com',
      expiresIn: 900,
      secondFactor: false,
    };
    await begin(cookies, tokens);
    expect(await recall(cookies)).toBeUndefined();
    expect([...held.keys()].sort()).toEqual(['__Host-cauce_access', '__Host-cauce_refresh']);
  });
});
