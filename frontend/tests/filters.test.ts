import { expect, it } from 'vitest';

import { hrefToggled, hrefWith, readFilters } from '../src/routes/products/filters';

const filters = readFilters(
  new URLSearchParams('q= té &category=tea&attr.type=Green&utm_source=x&cursor=abc'),
);

it('reads the known parameters and ignores others', () => {
  expect(filters).toEqual({
    q: 'té',
    category: 'tea',
    attributes: [['type', 'Green']],
    cursor: 'abc',
  });
});

it('begins at the first page when a filter changes', () => {
  expect(hrefToggled(filters, 'type', 'Black')).toBe(
    '/products?q=t%C3%A9&category=tea&attr.type=Black',
  );
  expect(hrefToggled(filters, 'type', 'Green')).toBe('/products?q=t%C3%A9&category=tea');
  expect(hrefWith(filters, { cursor: 'def' })).toContain('cursor=def');
});
