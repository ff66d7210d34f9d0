/** The built server, attacked over real sockets. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Site } from './support/site';

const ID = '0190a8b2-7c1d-7e3f-8a4b-5c6d7e8f9a0b';
const WORDS = { 413: 'That is too much at once', 429: 'Too many requests' };

let site: Site;

beforeAll(async () => {
  site = await Site.start();
}, 30_000);

beforeEach(() => {
  site.asked.length = 0;
  site.answers = {};
});

afterAll(() => site.stop());

/** The slowest response of the health check, in milliseconds, while `work` runs. */
async function slowestHealthCheck(work: Promise<unknown>): Promise<number> {
  let slowest = 0;
  let isUnderWay = true;
  const watch = async () => {
    while (isUnderWay) {
      const before = performance.now();
      await site.ask('/healthz');
      slowest = Math.max(slowest, performance.now() - before);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await Promise.all([watch(), work.finally(() => (isUnderWay = false))]);
  return slowest;
}

describe('an address that hides another path', () => {
  it.each([
    '/orders/..%5cusers%23/live',
    '/orders/..%5caudit%23/live',
    '/orders/search%23/live',
    '/orders/..%5cusers%23',
    '/orders/..%2fusers%23/live',
    '/orders/%2e%2e%2fusers/live',
    '/orders/..%255cusers/live',
    '/orders/%00/live',
    '/orders/%ff/live',
    `/orders/${ID}%5crefunds%23/live`,
    `/orders/${ID}%3f/live`,
    `/orders/${ID}%0a/invoice`,
    '/products/..%5cusers%23',
    '/products/TEA-0001%5cdocument%23',
    '/staff/users/..%5caudit%23',
    '/staff/orders/..%5cops%5cparked%23',
    '/staff/catalogue/..%5cexport%23',
  ])('%s is not found, and nothing is asked of the API', async (path) => {
    for (const scopes of [[], ['orders:read-any', 'products:write', 'users:read', 'audit:read']]) {
      const { cookie } = await site.signedIn(...scopes);
      for (const suffix of ['', '/__data.json']) {
        const answer = await site.ask(path + suffix, { headers: { cookie } });
        expect([400, 404]).toContain(answer.status);
      }
    }
    expect(site.asked).toEqual([]);
  });

  it.each([
    '/orders/..%5cops%5cdead-letters%5credrive%23?/cancel',
    `/orders/${ID}%5crefunds%23?/cancel`,
    '/staff/users/..%5cops%23?/enable',
  ])('POST %s does nothing', async (path) => {
    const answer = await site.post(path, 'whose=a-person', await site.signedIn('users:read'));
    expect([400, 404]).toContain(answer.status);
    expect(site.asked).toEqual([]);
  });

  it('is not composed from a form either', async () => {
    const person = await site.signedIn('activity:read', 'parked:release', 'attention:resolve');
    for (const name of ['..\\..\\users#', `${ID}\\x#`, '']) {
      const subject = encodeURIComponent(name);
      const whose = 'whose=a-person';
      await site.post('/staff/operations?/release', `${whose}&order=${subject}`, person);
      const resolve = `${whose}&subject=${subject}&choice=dismiss&reason=because`;
      await site.post('/staff/operations?/resolve', resolve, person);
    }
    expect(site.asked.filter((asked) => asked.startsWith('POST'))).toEqual([]);
  });
});

describe('a form', () => {
  const flood = Buffer.from('a=&'.repeat(3_000_000));

  it('of 8.9 MB is refused before it is read, without delaying the health check', async () => {
    const attack = Promise.all(Array.from({ length: 6 }, () => site.post('/sign-in', flood)));
    expect(await slowestHealthCheck(attack)).toBeLessThan(1_000);
    for (const answer of await attack) {
      expect(answer.status).toBe(413);
      expect(answer.text).toContain(WORDS[413]);
      expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
    }
  });

  it('without a length is cut off at its limit', async () => {
    const answer = await site.post('/sign-in', flood, { 'transfer-encoding': 'chunked' });
    expect(answer.status).toBe(413);
  });

  it('may have only a few short fields', async () => {
    expect((await site.post('/sign-in', 'a=&'.repeat(64))).status).toBe(413);
    expect((await site.post('/sign-in', `a=${'x'.repeat(9_000)}`)).status).toBe(413);
    expect((await site.post('/sign-in', 'email=ana')).status).toBe(422);
  });

  it('that arrives too slowly is cut off', async () => {
    const head = [
      'POST /sign-in HTTP/1.1',
      `Host: 127.0.0.1:${site.port}`,
      `Origin: ${site.origin}`,
      'Content-Type: application/x-www-form-urlencoded',
      'Content-Length: 10000',
      '\r\n',
    ].join('\r\n');
    const answer = await site.raw(head, () => 'a');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  }, 20_000);

  it('that never ends gets a response, and is cut off', async () => {
    const head = [
      'POST /sign-in HTTP/1.1',
      `Host: 127.0.0.1:${site.port}`,
      `Origin: ${site.origin}`,
      'Content-Type: application/x-www-form-urlencoded',
      'Transfer-Encoding: chunked',
      '\r\n',
    ].join('\r\n');
    const began = performance.now();
    const answer = await site.raw(head, () => `4000\r\n${'a'.repeat(0x4000)}\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(performance.now() - began).toBeLessThan(10_000);
  }, 20_000);

  it.each(['text/plain', 'multipart/form-data; boundary=x', 'application/json', ''])(
    'of the type %j is refused',
    async (type) => {
      const answer = await site.post('/sign-in', 'email=ana', { 'content-type': type });
      expect(answer.status).toBe(415);
    },
  );

  it('of another site is refused, whatever its type', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'text/csv', 'application/json']) {
      const headers = { 'content-type': type, origin: 'https://elsewhere.example' };
      expect((await site.post('/sign-out', '', headers)).status).toBe(403);
      const piece = await site.post('/staff/catalogue/import/piece', 'sku', headers);
      expect(piece.status).toBe(403);
    }
  });

  it('that does not exist is refused', async () => {
    expect((await site.post('/products', flood)).status).toBe(405);
    expect((await site.post('/sign-in?/constructor', 'a=')).status).toBe(405);
    expect((await site.post('/healthz', flood)).status).toBe(405);
  });

  it('sent by the page script is refused with a text that the script can show', async () => {
    const headers = { accept: 'application/json', 'x-sveltekit-action': 'true' };
    const answer = await site.post('/sign-in', flood, headers);
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.text).type).toBe('error');
  });
});

describe('an import', () => {
  const file = Buffer.alloc(8_000_000, 'a');
  const multipart = { 'content-type': 'multipart/form-data; boundary=x' };

  it.each([
    ['/staff/catalogue/import', multipart],
    ['/staff/catalogue/import/piece', { 'content-type': 'text/csv' }],
  ])('to %s is refused before it is read, if the person may not', async (path, headers) => {
    // The body is not sent: a response shows that the server did not wait for it.
    const answerTo = async (cookie: string) => {
      const lines = Object.entries({
        ...headers,
        origin: site.origin,
        cookie,
        accept: 'text/html',
      });
      const head = [
        `POST ${path} HTTP/1.1`,
        `Host: 127.0.0.1:${site.port}`,
        ...lines.map(([name, value]) => `${name}: ${value}`),
        `Content-Length: ${file.length}`,
        'Connection: close',
        '\r\n',
      ].join('\r\n');
      return (await site.raw(head)).split('\r\n')[0];
    };
    const isPiece = path.endsWith('piece');
    expect(await answerTo('')).toMatch(isPiece ? /401/ : /303/);
    expect(await answerTo((await site.signedIn()).cookie)).toMatch(/403/);
    expect(await answerTo((await site.signedIn('stock:write')).cookie)).toMatch(/403/);
    expect(site.asked).toEqual([]);
  });

  it('of many parts is refused', async () => {
    const part = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n';
    const person = await site.signedIn('products:write');
    const body = part.repeat(100_000);
    const answer = await site.post('/staff/catalogue/import', body, { ...multipart, ...person });
    expect(answer.status).toBe(413);
  });
});

describe('a page with personal data', () => {
  it('is not cached', async () => {
    for (const path of ['/checkout?guest', '/find-order', '/sign-in', '/guest-order']) {
      expect((await site.ask(path)).headers['cache-control'], path).toBe('no-store');
    }
    site.answers['/v1/orders'] = { items: [] };
    const person = await site.signedIn('orders:read-any', 'products:write');
    for (const path of ['/orders', `/orders/${ID}`, '/staff', '/language', '/cart']) {
      const { headers } = await site.ask(path, { headers: person });
      expect(headers['cache-control'], path).toBe('no-store');
    }
    expect((await site.ask('/cart')).headers['cache-control']).toBe('private, no-cache');
  });

  it('is not shown to a visitor', async () => {
    for (const path of [
      '/orders',
      `/orders/${ID}`,
      `/orders/${ID}/invoice`,
      '/account',
      '/staff',
    ]) {
      const answer = await site.ask(path, { headers: { accept: 'text/html' } });
      expect(answer.headers.location).toBe(`/sign-in?next=${encodeURIComponent(path)}`);
    }
    expect((await site.ask(`/orders/${ID}/live`)).status).toBe(401);
    expect((await site.ask('/staff/operations/live')).status).toBe(401);
    expect(site.asked).toEqual([]);
  });

  it('of the staff is not shown to a shopper', async () => {
    const { cookie } = await site.signedIn();
    for (const path of [
      '/staff',
      '/staff/users',
      '/staff/catalogue/export',
      `/staff/orders/${ID}`,
    ]) {
      const answer = await site.ask(path, { headers: { cookie, accept: 'text/html' } });
      expect(answer.status, path).toBe(403);
      expect(answer.text).toContain('This is not open to you');
    }
    expect(site.asked).toEqual([]);
  });
});

describe('cookies', () => {
  const SESSION = ['access', 'refresh', 'activity'];
  const NAMES = ['cart', 'seen', 'language', 'draft', 'challenge', 'guest', ...SESSION];

  it.each([
    '',
    'garbage',
    '%00%ff%',
    '"><script>',
    '{}',
    'a.b.c.d.e',
    `eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA`,
    'eyJhbGciOiJub25lIn0.e30.',
    '0'.repeat(1_000),
    'ffffffffffffffffffff',
    '__proto__',
  ])('with the content %j are harmless', async (content) => {
    site.answers['/v1/products'] = { items: [], categories: [] };
    const cookie = NAMES.map((name) => `__Host-cauce_${name}=${content}`).join('; ');
    const statuses = async (path: string) => (await site.ask(path, { headers: { cookie } })).status;
    for (const path of ['/', '/products', '/cart', '/find-order']) {
      expect(await statuses(path), path).toBe(200);
    }
    for (const path of ['/orders', '/guest-order', '/sign-in/code', '/checkout']) {
      expect([303, 401], path).toContain(await statuses(path));
    }
    expect(site.asked.length).toBeLessThan(8);
  });

  it('with an invalid consistency token are deleted', async () => {
    site.answers['/v1/products'] = { items: [], categories: [] };
    const headers = { cookie: '__Host-cauce_seen=garbage' };
    const { headers: answered } = await site.ask('/products', { headers });
    expect(String(answered['set-cookie'])).toMatch(/__Host-cauce_seen=; Max-Age=0/);
  });

  it('can only be set by this host', async () => {
    const { headers } = await site.post('/language', 'language=es&next=/');
    expect(headers['set-cookie']).toEqual([
      expect.stringMatching(/^__Host-cauce_language=es;.*Path=\/; HttpOnly; Secure; SameSite=Lax$/),
    ]);
  });

  it('of a user are deleted at sign-out, except the cart and the language', async () => {
    const { cookie } = await site.signedIn();
    const kept = '__Host-cauce_cart=TEA-1:1; __Host-cauce_language=en';
    const ended = ['access', 'refresh', 'activity', 'draft', 'challenge', 'guest'];
    const others = ended.slice(2).map((name) => `__Host-cauce_${name}=x`);
    const sent = { cookie: [cookie, kept, ...others].join('; ') };
    const { headers, status } = await site.post('/sign-out', '', sent);
    expect([status, headers.location]).toEqual([303, '/']);
    const dropped = headers['set-cookie']?.map((line) => line.split('=')[0]).sort();
    expect(dropped).toEqual(ended.map((name) => `__Host-cauce_${name}`).sort());
    expect(headers['clear-site-data']).toBe('"storage"');
  });
});

it('a cart of fifty lines is one request to the API', async () => {
  site.answers['/v1/products'] = { items: [], categories: [] };
  const cart = Array.from({ length: 50 }, (_, line) => `INVENTED-${line}:1`).join('.');
  const headers = { cookie: `__Host-cauce_cart=${cart}` };
  expect((await site.ask('/cart', { headers })).status).toBe(200);
  expect(site.asked).toHaveLength(1);
});

it('no other origin can read a response', async () => {
  for (const method of ['OPTIONS', 'GET']) {
    for (const path of ['/', '/orders', '/healthz', '/staff/catalogue/import/piece']) {
      const headers = {
        origin: 'https://elsewhere.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      };
      const answer = await site.ask(path, { method, headers });
      const allowed = Object.keys(answer.headers).filter((it) => it.startsWith('access-control'));
      expect(allowed, `${method} ${path}`).toEqual([]);
    }
  }
});

it('security.txt says where to report a vulnerability', async () => {
  const { status, headers, text } = await site.ask('/.well-known/security.txt');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(text).toMatch(/^Contact: mailto:security@example\.com\n/);
  const [, expires = ''] = /^Expires: (\S+)$/m.exec(text) ?? [];
  const days = (Date.parse(expires) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(30);
  expect(days).toBeLessThan(365);
});

describe('a network that sends too many requests', () => {
  let small: Site;

  beforeAll(async () => {
    const forwarded = { ADDRESS_HEADER: 'X-Forwarded-For', XFF_DEPTH: '1' };
    small = await Site.start({ ...forwarded, REQUESTS_PER_SECOND: '1', REQUEST_BURST: '5' });
  }, 30_000);

  afterAll(() => small.stop());

  it('is refused for a stated time, and other networks are served', async () => {
    const from = async (address: string, path = '/find-order') => {
      const headers = { 'x-forwarded-for': address, accept: 'text/html', 'accept-language': 'es' };
      return small.ask(path, { headers });
    };
    const network = (host: number) => `2001:db8:1:2::${host}`;
    const answers = [];
    for (let host = 1; host <= 7; host += 1) answers.push(await from(network(host)));
    expect(answers.slice(0, 5).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    const refused = answers.at(-1);
    expect(refused?.status).toBe(429);
    expect(refused?.headers['retry-after']).toBe('1');
    expect(refused?.text).toContain('<html lang="es">');
    expect((await from('2001:db8:1:3::1')).status).toBe(200);
    expect((await from('192.0.2.7')).status).toBe(200);
    expect((await from(network(1), '/healthz')).status).toBe(200);
  });
});
