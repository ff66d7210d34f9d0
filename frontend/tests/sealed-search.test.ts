import { expect, it, vi } from 'vitest';

import { createSeal } from '../src/lib/server/seal';
import { openSearch, sealSearch } from '../src/lib/server/sealed-search';

vi.mock('../src/lib/server/sealed', () => ({
  sealed: () => createSeal('a secret of more than thirty-two characters'),
}));

const open = (href: string) => openSearch(new URL(href, 'https://cauce.example'));

it('leads back to what is searched for, and to its next page', async () => {
  const href = await sealSearch('/staff/orders', { q: 'ana@example.com', status: '' }, 'c 1');
  const { search, cursor } = await open(href);
  expect([...search]).toEqual([['q', 'ana@example.com']]);
  expect(cursor).toBe('c 1');
});

it('shows no address in the address of the page, in no encoding', async () => {
  const href = await sealSearch('/staff/orders', { q: 'ana@example.com' });
  const parts = href
    .split(/[?=.]/)
    .map((part) => Buffer.from(part, 'base64url').toString('latin1'));
  for (const text of [href, decodeURIComponent(href), ...parts]) {
    expect(text).not.toContain('example.com');
  }
});

it('is the page without a search where nothing, or nothing of ours, is searched for', async () => {
  expect(await sealSearch('/staff/users', { email: '' })).toBe('/staff/users');
  for (const href of ['/staff/users', '/staff/users?q=x', '/staff/users?email=ana@example.com']) {
    const { search, cursor } = await open(href);
    expect([[...search], cursor]).toEqual([[], undefined]);
  }
});
