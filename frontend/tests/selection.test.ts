import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { Api } from '$lib/server/api';

type Query = { category?: string; limit: number };

/** An API with two categories, of which the first has stock, and its recorded requests. */
function api(answers = true) {
  const asked: Query[] = [];
  const get = async (_path: string, { params: { query } }: { params: { query: Query } }) => {
    asked.push(query);
    if (!answers) return { error: {}, response: new Response(null, { status: 503 }) };
    const categories = [{ id: 'tea' }, { id: 'books' }];
    const items = [
      { sku: `${query.category}-1`, stock: 0 },
      { sku: `${query.category}-2`, stock: query.category === 'tea' ? 3 : 0 },
    ];
    return { data: { categories, items }, response: new Response() };
  };
  return { asked, api: { GET: get } as unknown as Api };
}

describe('the selection of the front page', () => {
  let selectionFor: typeof import('$lib/server/selection').selectionFor;

  beforeEach(async () => {
    vi.resetModules();
    ({ selectionFor } = await import('$lib/server/selection'));
  });

  it('is not cached when the API does not answer', async () => {
    expect(await selectionFor('en', api(false).api)).toBeUndefined();
    expect(await selectionFor('en', api().api)).toBeDefined();
  });

  it('has a product of each category, in stock if there is one', async () => {
    const selection = await selectionFor('en', api().api);
    expect(selection?.products.map(({ sku }) => sku)).toEqual(['tea-2', 'books-1']);
  });

  it('is composed once for each language', async () => {
    const shop = api();
    await Promise.all([selectionFor('en', shop.api), selectionFor('en', shop.api)]);
    await selectionFor('en', shop.api);
    expect(shop.asked).toHaveLength(3);
    await selectionFor('es', shop.api);
    expect(shop.asked).toHaveLength(6);
  });
});
