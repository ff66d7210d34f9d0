import { expect, it } from 'vitest';

import { nextPath, pageOf, signInPath } from '../src/lib/next-path';

it.each(['/', '/checkout', '/orders/1?placed', '/products?q=t%C3%A9&category=tea'])(
  '%s is a page of ours',
  (path) => {
    expect(nextPath(path)).toBe(path);
  },
);

it.each([
  'https://evil.example',
  '//evil.example',
  '/\\evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '/.//evil.example',
  'javascript:alert(1)',
  'checkout',
  '',
  `/${'x'.repeat(2_100)}`,
  null,
  undefined,
])('%j is not followed', (path) => {
  expect(nextPath(path)).toBe('/');
});

it('leads back to the page that required signing in', () => {
  const path = signInPath(new URL('https://shop.example/orders?cursor=a%2Bb'));
  const next = new URL(path, 'https://shop.example').searchParams.get('next');
  expect(nextPath(next)).toBe('/orders?cursor=a%2Bb');
});

it('separates the page from the action of a URL', () => {
  const { page, action } = pageOf(
    new URL('http://shop/staff/operations?/force=&provider=payments'),
  );
  expect(action).toBe('force');
  expect(page.pathname + page.search).toBe('/staff/operations?provider=payments');
  const plain = pageOf(new URL('http://shop/checkout'));
  expect([plain.action, plain.page.href]).toEqual(['default', 'http://shop/checkout']);
});
