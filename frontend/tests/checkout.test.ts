/** Orders through the built server, with lost responses, several tabs and the back button. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { createSeal } from '../src/lib/server/seal';
import { Browser, type Page, hidden } from './support/browser';
import { Shop } from './support/shop';
import { type Reply, SECRET, Site, problem } from './support/site';

const ADDRESS = {
  name: 'Ana',
  line1: 'Calle Mayor 1',
  postal_code: '28013',
  city: 'Madrid',
  country: 'ES',
  card: 'pm_card_visa',
};
const GUEST = { ...ADDRESS, email: 'ana@example.com' };
const ALREADY = 'You had placed this order before';

let site: Site;
let shop: Shop;
let browser: Browser;

beforeAll(async () => {
  site = await Site.start();
}, 30_000);

beforeEach(() => {
  shop = new Shop();
  site.shop = shop.answer;
  browser = new Browser(site);
  browser.holds('cart', 'TEA-1:1');
});

afterAll(() => site.stop());

/** The action of the page's form. */
function actionOf(page: Page): string {
  if (!hidden(page).key) throw new Error('the checkout is not shown');
  return /action="(\/checkout\/attempt[^"]*)"/.exec(page.text)?.[1] ?? page.path;
}

async function sends(page: Page, typed: Record<string, string> = ADDRESS, by = browser) {
  return by.sends(page, actionOf(page), typed);
}

async function losesTheAnswer(page: Page, typed: Record<string, string> = ADDRESS) {
  await browser.sendsUnanswered(page, actionOf(page), typed);
}

describe('a shopper', () => {
  beforeEach(() => browser.signsIn());

  it('orders once, and again only with another cart', async () => {
    const page = await browser.opens('/checkout');
    expect((await sends(page)).path).toMatch(/\?placed$/);
    expect(browser.cookie('cart')).toBeUndefined();

    browser.holds('cart', 'TEA-1:1');
    const next = await browser.opens('/checkout');
    expect(hidden(next).key).not.toBe(hidden(page).key);
    await sends(next);
    expect(shop.orders).toHaveLength(2);
  });

  it('who loses the response and reopens the checkout is shown the order', async () => {
    await losesTheAnswer(await browser.opens('/checkout'));
    expect(shop.orders).toHaveLength(1);
    const page = await browser.opens('/checkout');
    expect(page.path).toBe(`/orders/${shop.orders[0]?.id}?already`);
    expect(page.text).toContain(ALREADY);
    expect(browser.cookie('cart')).toBeUndefined();
  });

  it('is shown that order at the cart, too, if it took the last of the stock', async () => {
    await losesTheAnswer(await browser.opens('/checkout'));
    shop.stock = 0;
    expect((await browser.opens('/cart')).path).toMatch(/\?already$/);
  });

  it.each<[string, (path: string) => Promise<void>]>([
    ['a script', (path) => browser.preloads(path)],
    ['the browser', (path) => browser.prefetches(path)],
  ])('is shown the order even if %s preloaded the cart', async (_, loadsAhead) => {
    await losesTheAnswer(await browser.opens('/checkout'));
    await loadsAhead('/cart');
    await loadsAhead('/checkout');
    browser.holds('cart', 'CUP-1:1');
    for (const path of ['/checkout', '/cart']) {
      expect((await browser.copy().opens(path)).path).toBe(`/orders/${shop.orders[0]?.id}?already`);
    }
    await browser.opens('/cart');
    expect((await browser.opens('/cart')).path).toBe('/cart');
    expect((await browser.opens('/checkout')).path).toBe('/checkout');
  });

  it('is shown the order even if its page did not load after it was placed', async () => {
    const page = await browser.opens('/checkout');
    await browser.sendsAndLeaves(page, actionOf(page), ADDRESS);
    expect(browser.cookie('cart')).toBeUndefined();
    expect((await browser.opens('/cart')).path).toBe(`/orders/${shop.orders[0]?.id}?already`);
    expect((await browser.opens('/cart')).path).toBe('/cart');
  });

  it('is redirected only once to an order that no longer exists', async () => {
    await losesTheAnswer(await browser.opens('/checkout'));
    await browser.preloads('/cart');
    const signedOut = browser.copy();
    signedOut.signsOut();
    expect((await signedOut.opens('/cart')).path).toBe('/cart');
    shop.orders.length = 0;
    expect((await browser.opens('/cart')).status).toBe(404);
    expect((await browser.opens('/cart')).path).toBe('/cart');
  });

  it.each([
    ['the same', {}],
    ['another address', { city: 'Toledo' }],
    ['another card', { card: 'pm_card_mastercard' }],
  ])(
    'who loses the response and sends the form again with %s has one order',
    async (_, changed) => {
      const page = await browser.opens('/checkout');
      await losesTheAnswer(page);
      const shown = await sends(page, { ...ADDRESS, ...changed });
      expect(shown.path).toContain(`/orders/${shop.orders[0]?.id}`);
      expect(shop.orders).toHaveLength(1);
    },
  );

  it('who changes the cart after a lost response keeps the additions', async () => {
    await losesTheAnswer(await browser.opens('/checkout'));
    browser.holds('cart', 'TEA-1:3.CUP-1:1');
    expect((await browser.opens('/checkout')).path).toMatch(/\?already$/);
    expect(decodeURIComponent(browser.cookie('cart') ?? '')).toBe('TEA-1:2.CUP-1:1');
    await sends(await browser.opens('/checkout'));
    expect(shop.orders.map(({ lines }) => lines.length)).toEqual([1, 2]);
  });

  it('gets 502 for an accepted order, tries again, and has one order', async () => {
    shop.isBehindABrokenGateway = true;
    const page = await sends(await browser.opens('/checkout'));
    expect(page.text).toContain('It is not known yet whether the order was placed');
    shop.isBehindABrokenGateway = false;
    expect((await sends(page)).path).toContain(`/orders/${shop.orders[0]?.id}`);
    expect(shop.orders).toHaveLength(1);
  });

  it.each<[string, Reply]>([
    ['a limit', problem(429, 'too-many-orders')],
    ['no stock', problem(409, 'out-of-stock', 'lines[0].sku')],
    ['a refused field', problem(422, 'validation', 'payment_method')],
    ['an expired token', problem(401, 'unauthorized')],
    ['a firewall', { status: 403, json: {} }],
    ['a missing route', { status: 404, json: {} }],
  ])('is shown an accepted order when its repetition meets %s', async (_, repetition) => {
    shop.repetition = repetition;
    const shown = await sends(await browser.opens('/checkout'));
    expect(shown.path).toBe(`/orders/${shop.orders[0]?.id}?already`);
    expect(browser.cookie('cart')).toBeUndefined();
  });

  it('who meets a limit sends the form again, and has one order', async () => {
    const page = await browser.opens('/checkout');
    shop.refusal = problem(429, 'too-many-orders');
    const limited = await sends(page);
    expect(limited.text).toContain('Too many orders in a short time');
    shop.refusal = undefined;
    expect((await sends(limited)).path).toMatch(/\?placed$/);
    expect(shop.orders).toHaveLength(1);
  });

  it('who sends the form of another tab is shown the first order', async () => {
    const [one, two] = [await browser.opens('/checkout'), await browser.opens('/checkout')];
    await sends(one);
    expect((await sends(two, { ...ADDRESS, city: 'Toledo' })).path).toMatch(/\?already$/);
    expect(shop.orders).toHaveLength(1);
  });

  it('who sends two tabs at once has one order', async () => {
    const [one, two] = [await browser.opens('/checkout'), await browser.opens('/checkout')];
    const shown = await Promise.all([sends(one), sends(two, ADDRESS, browser.copy())]);
    for (const { path } of shown) expect(path).toContain(`/orders/${shop.orders[0]?.id}`);
    expect(shop.orders).toHaveLength(1);
  });

  it('who goes back and sends the form again is shown its order, even days later', async () => {
    const page = await browser.opens('/checkout');
    await sends(page);
    shop.forgetsKeys();
    browser.holds('cart', 'CUP-1:1');
    expect((await sends(page)).path).toBe(`/orders/${shop.orders[0]?.id}?already`);
    expect(decodeURIComponent(browser.cookie('cart') ?? '')).toBe('CUP-1:1');
    expect(shop.orders).toHaveLength(1);
  });

  it('orders nothing with a form whose key is forgotten', async () => {
    const page = await browser.opens('/checkout');
    await sends(page);
    browser.holds('cart', 'CUP-1:1');
    await sends(await browser.opens('/checkout'));
    shop.forgetsKeys();
    const refused = await sends(page);
    expect(refused.text).toContain('This page was out of date');
    expect(shop.orders).toHaveLength(2);
    // Sending the shown form again places another order.
    await sends(refused);
    expect(shop.orders).toHaveLength(3);
  });

  it('who reloads a refused form orders only with the next one', async () => {
    shop.stock = 0;
    browser.holds('cart', 'TEA-1:1');
    shop.stock = 1;
    const page = await browser.opens('/checkout');
    shop.stock = 0;
    const refused = await sends(page);
    expect(refused.text).toContain('There is not enough left');
    shop.stock = 1;
    const reloaded = await browser.sends(page, '/checkout', ADDRESS);
    expect(reloaded.text).toContain('This page was out of date');
    expect(shop.orders).toHaveLength(0);
    await sends(reloaded);
    expect(shop.orders).toHaveLength(1);
  });

  it('is asked about an attempt that is too old to look up', async () => {
    const hours = 3_600_000;
    const at = Date.now() - 24 * hours;
    const attempt = { by: { kind: 'account', id: 'a-person' }, firstAt: at, lastAt: at };
    const intent = await createSeal(SECRET).close('checkout', { key: 'old', attempt }, 600);
    browser.holds('checkout', intent);
    const page = await browser.opens('/checkout');
    expect(page.text).toContain('You have sent an order before');
    expect(page.text).not.toContain('/checkout/attempt');

    const anew = await browser.sends(page, '/checkout/anew');
    expect(hidden(anew).key).not.toBe('old');
    await sends(anew);
    expect(shop.orders).toHaveLength(1);
  });

  it.each<[string, Reply]>([
    ['a missing route', { status: 404 }],
    ['a problem of ours', problem(404, 'not-found')],
    ['a refused request', problem(422, 'validation')],
    ['a limit', problem(429, 'too-many-tries')],
  ])('keeps an attempt that cannot be looked up because of %s', async (_, lookup) => {
    const at = Date.now() - 120_000;
    const attempt = { by: { kind: 'account', id: 'a-person' }, firstAt: at, lastAt: at };
    const { key } = hidden(await browser.opens('/checkout'));
    const intent = await createSeal(SECRET).close('checkout', { key, attempt }, 600);
    browser.holds('checkout', intent);
    shop.lookup = lookup;
    await browser.opens('/checkout');
    expect(browser.cookie('checkout')).toBe(intent);

    shop.lookup = undefined;
    await browser.opens('/checkout');
    expect(browser.cookie('checkout')).not.toBe(intent);
  });

  it('is not shown a refusal while the order cannot be looked up', async () => {
    const page = await browser.opens('/checkout');
    shop.repetition = problem(409, 'out-of-stock', 'lines[0].sku');
    shop.lookup = { status: 404 };
    const shown = await sends(page);
    expect(shown.text).toContain('It is not known yet whether the order was placed');
    shop.lookup = undefined;
    expect((await browser.opens('/checkout')).path).toMatch(/\?already$/);
    expect(shop.orders).toHaveLength(1);
  });

  it('can replace only the attempt that the page asked about', async () => {
    const at = Date.now() - 24 * 3_600_000;
    const attempt = { by: { kind: 'account', id: 'a-person' }, firstAt: at, lastAt: at };
    const old = await createSeal(SECRET).close('checkout', { key: 'old', attempt }, 600);
    const other = browser.copy();
    other.holds('checkout', old);
    const asked = await other.opens('/checkout');
    expect(asked.text).toContain('You have sent an order before');

    await losesTheAnswer(await browser.opens('/checkout'));
    const shown = await browser.sends(asked, '/checkout/anew');
    expect(shown.path).toBe(`/orders/${shop.orders[0]?.id}?already`);
    expect(shop.orders).toHaveLength(1);
  });

  it('who was shown euros confirms before ordering in another currency', async () => {
    const page = await browser.opens('/checkout');
    expect(hidden(page)).toMatchObject({ total: '500', currency: 'EUR' });
    shop.currency = 'USD';
    const shown = await sends(page);
    expect(shown.text).toContain('Prices have changed');
    expect(shop.orders).toHaveLength(0);
    await sends(shown);
    expect(shop.orders.map(({ currency }) => currency)).toEqual(['USD']);
  });

  it('cannot order a cart of two currencies, and is shown why', async () => {
    browser.holds('cart', 'TEA-1:1.CUP-1:1');
    const page = await browser.opens('/checkout');
    shop.currencies = { 'CUP-1': 'USD' };
    const shown = await sends(page);
    expect((await sends(shown)).text).toContain('The cart cannot be ordered as it is');
    expect(shop.orders).toHaveLength(0);
    const cart = await browser.opens('/checkout');
    expect(cart.path).toBe('/cart');
    expect(cart.text).toContain('is priced in USD, and the cart in EUR');
  });

  it('who signs out cannot repeat the attempt of the account', async () => {
    await losesTheAnswer(await browser.opens('/checkout'));
    browser.signsOut();
    const page = await browser.opens('/checkout?guest');
    expect(page.text).toContain('Sign in with that account');
    expect(page.text).not.toContain('/checkout/attempt');
  });
});

describe('a guest', () => {
  it('who loses the response is shown the order', async () => {
    await losesTheAnswer(await browser.opens('/checkout?guest'), GUEST);
    const page = await browser.opens('/checkout?guest');
    expect(page.path).toBe('/guest-order?already');
    expect(page.text).toContain(shop.orders[0]?.number);
  });

  it('is shown the order even if a script preloaded the cart', async () => {
    await losesTheAnswer(await browser.opens('/checkout?guest'), GUEST);
    await browser.preloads('/cart');
    expect((await browser.opens('/cart')).path).toBe('/guest-order?already');
    expect((await browser.opens('/cart')).path).toBe('/cart');
  });

  it('who then enters another e-mail address has one order', async () => {
    const page = await browser.opens('/checkout?guest');
    await losesTheAnswer(page, GUEST);
    const shown = await sends(page, { ...GUEST, email: 'anna@example.com' });
    expect(shown.path).toBe('/guest-order?already');
    expect(shop.orders.map(({ owner }) => owner)).toEqual(['ana@example.com']);
  });

  it('can change the e-mail address at once after a refusal', async () => {
    const page = await browser.opens('/checkout?guest');
    shop.stock = 0;
    const refused = await sends(page, GUEST);
    shop.stock = 1;
    const shown = await sends(refused, { ...GUEST, email: 'anna@example.com' });
    expect(shown.path).toBe('/guest-order?placed');
    expect(shop.orders.map(({ owner }) => owner)).toEqual(['anna@example.com']);
  });

  it('can correct an e-mail address that the API refuses', async () => {
    const page = await browser.opens('/checkout?guest');
    shop.refusal = problem(422, 'validation', 'email');
    shop.lookup = shop.refusal;
    const { key } = hidden(page);
    const at = Date.now() - 1_000;
    const attempt = { by: { kind: 'guest', email: 'ana@example.com' }, firstAt: at, lastAt: at };
    browser.holds('checkout', await createSeal(SECRET).close('checkout', { key, attempt }, 600));
    const refused = await sends(page, GUEST);
    expect(refused.text).toContain('This is not accepted as it is');
    shop.refusal = shop.lookup = undefined;
    const shown = await sends(refused, { ...GUEST, email: 'anna@example.com' });
    expect(shown.path).toBe('/guest-order?placed');
  });

  it('waits while a request for another address may be in progress', async () => {
    const page = await browser.opens('/checkout?guest');
    const at = Date.now() - 1_000;
    const { key } = hidden(page);
    const attempt = { by: { kind: 'guest', email: 'ana@example.com' }, firstAt: at, lastAt: at };
    browser.holds('checkout', await createSeal(SECRET).close('checkout', { key, attempt }, 600));
    const waiting = await sends(page, { ...GUEST, email: 'anna@example.com' });
    expect(waiting.text).toContain('Wait a minute');
    expect(shop.orders).toHaveLength(0);
  });

  it('who signs in after a lost response is shown the order', async () => {
    await losesTheAnswer(await browser.opens('/checkout?guest'), GUEST);
    await browser.signsIn();
    expect((await browser.opens('/checkout')).path).toBe('/guest-order?already');
    expect(shop.orders).toHaveLength(1);
  });

  it('has an order that another person who signs in cannot see', async () => {
    const email = 'somebody@example.com';
    await losesTheAnswer(await browser.opens('/checkout?guest'), { ...GUEST, email });
    await browser.signsIn();
    const page = await browser.opens('/checkout');
    expect(page.text).toContain(`Its number is ${shop.orders[0]?.number}`);
    expect(page.text).not.toContain('Calle Mayor');
  });
});
