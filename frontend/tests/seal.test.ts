import { afterEach, describe, expect, it, vi } from 'vitest';

import { createSeal } from '../src/lib/server/seal';

const seal = createSeal('a secret of more than thirty-two characters');
const content = { accessToken: 'token', email: 'ana@example.com' };

afterEach(() => {
  vi.useRealTimers();
});

describe('a sealed cookie', () => {
  it('opens with its content, on every instance', async () => {
    const sealed = await seal.close('access', content, 60);
    const other = createSeal('a secret of more than thirty-two characters');
    expect(await other.open('access', sealed)).toEqual(content);
    expect(sealed).not.toContain('ana');
  });

  it('does not open if a character was changed', async () => {
    const sealed = await seal.close('access', content, 60);
    for (const index of [2, sealed.length >> 1, sealed.length - 3]) {
      const other = sealed[index] === 'A' ? 'B' : 'A';
      const tampered = sealed.slice(0, index) + other + sealed.slice(index + 1);
      expect(await seal.open('access', tampered)).toBeUndefined();
    }
    expect(await seal.open('access', 'no such thing')).toBeUndefined();
  });

  it('does not open with another secret or for another purpose', async () => {
    const sealed = await seal.close('refresh', content, 60);
    const stranger = createSeal('another secret of more than 32 characters');
    expect(await stranger.open('refresh', sealed)).toBeUndefined();
    expect(await seal.open('access', sealed)).toBeUndefined();
  });

  it('opens after its secret was rotated once, and not after twice', async () => {
    const first = '1'.repeat(32);
    const second = '2'.repeat(32);
    const third = '3'.repeat(32);
    const sealed = await createSeal(first).close('refresh', content, 60);
    const rotated = createSeal(second, first);
    expect(await rotated.open('refresh', sealed)).toEqual(content);
    expect(await createSeal(third, second).open('refresh', sealed)).toBeUndefined();
    // New cookies are sealed with the new secret.
    const next = await rotated.close('refresh', content, 60);
    expect(await createSeal(second).open('refresh', next)).toEqual(content);
    expect(await createSeal(first).open('refresh', next)).toBeUndefined();
  });

  it('does not open after it has expired', async () => {
    vi.useFakeTimers();
    const sealed = await seal.close('access', content, 60);
    vi.advanceTimersByTime(61_000);
    expect(await seal.open('access', sealed)).toBeUndefined();
  });

  it('fits the longest tokens of Cognito into one cookie', async () => {
    const sealed = await seal.close('refresh', { refreshToken: 'r'.repeat(2_000) }, 60);
    expect(sealed.length).toBeLessThan(4_000);
  });
});
