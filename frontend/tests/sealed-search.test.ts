import { expect, it, vi } from 'vitest';

import { createSeal } from '../src/lib/server/seal';
import { openSearch, sealSearch } from '../src/lib/server/sealed-search';

vi.mock('../src/lib/server/sealed', () => ({
  sealed: () => createSeal('a secret of more than thirty-two characters'),
}));

const open = (href: string) => openSearch(new URL(href, 'https://cauce.example'));

it('restores the search, and leads to its next page', async () => {
  const href = await sealSearch('/staff/orders', { q: 'ana@example.com', status: '' }, 'c 1');
  const { search, cursor } = await open(href);
  expect([...search]).toEqual([['q', 'ana@example.com']]);
  expect(cursor).toBe('c 1');
});

it('has no e-mail address in the URL, in any encoding', async () => {
  const href = await sealSearch('/staff/orders', { q: 'ana@example.com' });
  const parts = href
    .split(/[?=.]/)
    .map((part) => Buffer.from(part, 'base64url').toString('latin1'));
  for (const text of [href, decodeURIComponent(href), ...parts]) {
    expect(text).not.toContain('example.com');
  }
});

it('is empty without a search, or with one that the shop has not sealed', async () => {
  expect(await sealSearch('/staff/users', { email: '' })).toBe('/staff/users');
  for (const href of ['/staff/users', '/staff/users?q=x', '/staff/users?email=ana@example.com']) {
    const { search, cursor } = await open(href);
    expect([[...search], cursor]).toEqual([[], undefined]);
  }
});
