/** Staff's forms, sent twice to the built server. */
import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Browser, type Page } from './support/browser';
import { type Asked, type Reply, Site, problem } from './support/site';

const ORDER = '018f3f5e-0000-7000-8000-000000000001';
const OUTDATED = 'Something has changed since this page was shown';

let site: Site;
let browser: Browser;
/** The bodies of the requests that were carried out, by idempotency key. */
let done: Map<string, string>;
let refunds: { id: string; amount_cents: number; status: 'pending' }[];
let adjustments: unknown[];
/** Whether the API carries requests out, but answers 503. */
let isUnanswered: boolean;

beforeAll(async () => {
  site = await Site.start();
}, 30_000);

beforeEach(async () => {
  [done, refunds, adjustments, isUnanswered] = [new Map(), [], [], false];
  site.shop = answer;
  browser = new Browser(site);
  await browser.signsIn('orders:read-any', 'orders:refund', 'products:write', 'stock:write');
});

afterAll(() => site.stop());

function answer(asked: Asked): Reply {
  const path = asked.path.split('?')[0] ?? '';
  switch (`${asked.method} ${path}`) {
    case `GET /v1/orders/${ORDER}`:
      return { status: 200, json: order() };
    case `GET /v1/orders/${ORDER}/events`:
      return { status: 200, json: { items: [] } };
    case `POST /v1/orders/${ORDER}/refunds`:
      return once(asked, () => {
        const refund = { id: randomUUID(), amount_cents: 100, status: 'pending' as const };
        refunds.push(refund);
        return refund;
      });
    case 'GET /v1/products/TEA-1/document':
      return { status: 200, json: product };
    case 'GET /v1/categories':
      return { status: 200, json: { items: [{ id: 'tea', attributes: [] }] } };
    case 'GET /v1/stock/TEA-1':
      return { status: 200, json: { sku: 'TEA-1', available: 10 } };
    case 'GET /v1/stock/TEA-1/adjustments':
      return { status: 200, json: { items: adjustments.slice(0, 1), next_cursor: null } };
    case 'POST /v1/stock/TEA-1/adjustments':
      return once(asked, () => {
        const { delta, reason } = JSON.parse(asked.body);
        const at = '2026-11-25T08:00:00Z';
        const adjusted = { id: randomUUID(), sku: 'TEA-1', at, by: 'eva', reason, delta };
        adjustments.unshift({ ...adjusted, before: 10, after: 10 + delta });
        return adjustments[0];
      });
    default:
      return problem(404, 'not-found');
  }
}

function once({ headers, body }: Asked, work: () => unknown): Reply {
  const key = String(headers['idempotency-key']);
  const before = done.get(key);
  if (before !== undefined && before !== body) return problem(422, 'idempotency-key-reused');
  const json = before === undefined ? work() : {};
  done.set(key, body);
  return isUnanswered ? problem(503, 'unavailable') : { status: 201, json };
}

function order() {
  return {
    id: ORDER,
    number: 'C7K3-F9Q2-MX',
    status: 'completed',
    payment: 'captured',
    fulfilment: 'shipped',
    currency: 'EUR',
    total_cents: 10_000,
    placed_at: '2026-11-25T08:00:00Z',
    updated_at: '2026-11-25T08:00:00Z',
    lines: [{ sku: 'TEA-1', title: 'Tea', quantity: 1, unit_cents: 10_000 }],
    refunds,
    wait: null,
    shipping_address: { name: 'Ana', line1: 'C', postal_code: '1', city: 'Madrid', country: 'ES' },
    for_staff: {
      email: 'ana@example.com',
      is_guest: false,
      money: [],
      refund_approvals: [],
      disputes: [],
    },
  };
}

const text = { en: 'Tea', es: 'Té' };
const product = {
  category: 'tea',
  title: text,
  description: text,
  price: { cents: 500, currency: 'EUR' },
  attributes: {},
  image: null,
};

type Form = {
  name: string;
  page: string;
  action: string;
  typed: Record<string, string>;
  other: Record<string, string>;
  /** How often the form was carried out. */
  count: () => number;
};

const FORMS: Form[] = [
  {
    name: 'a refund',
    page: `/staff/orders/${ORDER}`,
    action: `/staff/orders/${ORDER}?/refund`,
    typed: { amount: '1.00', reason: 'broken cup', currency: 'EUR' },
    other: { amount: '2.00', reason: 'broken cup', currency: 'EUR' },
    count: () => refunds.length,
  },
  {
    name: 'an adjustment of the stock',
    page: '/staff/catalogue/TEA-1',
    action: '/staff/catalogue/TEA-1?/adjust',
    typed: { delta: '5', reason: 'found in the cellar' },
    other: { delta: '6', reason: 'found in the cellar' },
    count: () => adjustments.length,
  },
];

describe.each(FORMS)('$name', ({ page, action, typed, other, count }) => {
  const keyOf = ({ text }: Page) => /name="key" value="([^"]+)"/.exec(text)?.[1];

  it('keeps its key until it is carried out', async () => {
    const key = keyOf(await browser.opens(page));
    expect(key).toHaveLength(43);
    expect(keyOf(await browser.opens(page))).toBe(key);
    const made = await browser.sends(await browser.opens(page), action, typed);
    expect(made.path).toContain('?done=');
    expect(keyOf(made)).not.toBe(key);
  });

  it('is carried out once from two tabs, and after going back', async () => {
    const [one, two] = [await browser.opens(page), await browser.opens(page)];
    await browser.sends(one, action, typed);
    for (const again of [typed, other]) {
      expect((await browser.sends(two, action, again)).text).toContain(OUTDATED);
    }
    expect(count()).toBe(1);
  });

  it('is carried out once if its response is lost', async () => {
    isUnanswered = true;
    const opened = await browser.opens(page);
    const unanswered = await browser.sends(opened, action, typed);
    expect(unanswered.text).toContain('The shop did not answer');
    isUnanswered = false;
    for (const form of [unanswered, opened]) {
      expect((await browser.sends(form, action, typed)).text).toContain(OUTDATED);
    }
    expect(count()).toBe(1);
  });

  it('is carried out twice if it is confirmed', async () => {
    const one = await browser.opens(page);
    await browser.sends(one, action, typed);
    const outdated = await browser.sends(one, action, typed);
    await browser.sends(outdated, action, typed);
    expect(count()).toBe(2);
  });
});
