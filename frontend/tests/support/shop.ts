/** A stub of the API that places orders and handles idempotency keys as the API does. */
import { randomUUID } from 'node:crypto';

import { type Asked, type Reply, problem } from './site';

type Line = { sku: string; quantity: number };
export type Placed = {
  id: string;
  number: string;
  owner: string;
  currency: string;
  city: string;
  lines: Line[];
};

export class Shop {
  readonly orders: Placed[] = [];
  /** The stock of each product. */
  stock = 100;
  /** The currency of all prices except those in `currencies`. */
  currency = 'EUR';
  /** Other currencies, by SKU. */
  currencies: Record<string, string> = {};
  /** Accepts orders, but answers 502. */
  isBehindABrokenGateway = false;
  /** Accepts the next order, answers 502, and sends this reply when the request is repeated. */
  repetition: Reply | undefined;
  /** Accepts no orders, and sends this reply. */
  refusal: Reply | undefined;
  /** The reply to every lookup by key. */
  lookup: Reply | undefined;
  private readonly keys = new Map<string, { body: string; order: Placed }>();

  /** Deletes all idempotency keys, as the API does after some time. */
  forgetsKeys(): void {
    this.keys.clear();
  }

  answer = (asked: Asked): Reply => {
    const path = asked.path.split('?')[0];
    switch (`${asked.method} ${path}`) {
      case 'GET /v1/products':
        return this.products(new URL(asked.path, 'http://api').searchParams.getAll('sku'));
      case 'POST /v1/orders':
      case 'POST /v1/guest/orders': {
        return this.throughTheGateway(asked);
      }
      case 'POST /v1/orders/placed':
      case 'POST /v1/guest/orders/placed': {
        if (this.lookup) return this.lookup;
        const used = this.keys.get(keyOf(asked));
        return used ? { status: 200, json: view(used.order) } : { status: 204 };
      }
      case 'POST /v1/guest/orders/find': {
        const { number } = JSON.parse(asked.body);
        const found = this.orders.find((order) => order.number === number);
        return found
          ? { status: 200, json: { order: view(found), events: [] } }
          : problem(404, 'not-found');
      }
      default:
        return this.order(String(path));
    }
  };

  private products(skus: string[]): Reply {
    const items = skus.map((sku) => ({
      sku,
      title: sku,
      stock: this.stock,
      price: { cents: 500, currency: this.currencies[sku] ?? this.currency },
    }));
    return { status: 200, json: { items, categories: [] } };
  }

  private throughTheGateway(asked: Asked): Reply {
    const { refusal, repetition } = this;
    if (refusal) return refusal;
    if (repetition && this.keys.has(keyOf(asked))) return repetition;
    const reply = this.place(asked);
    return repetition || this.isBehindABrokenGateway ? problem(502, 'unavailable') : reply;
  }

  private place(asked: Asked): Reply {
    const key = keyOf(asked);
    const used = this.keys.get(key);
    if (used && used.body !== asked.body) return problem(422, 'idempotency-key-reused');
    if (used) return { status: 201, json: view(used.order) };
    const { currency, lines, shipping_address } = JSON.parse(asked.body);
    if (this.stock === 0) return problem(409, 'out-of-stock', 'lines[0].sku');
    const order: Placed = {
      id: randomUUID(),
      number: `C7K3-F9Q2-M${this.orders.length}`,
      owner: ownerOf(asked),
      currency,
      city: shipping_address.city,
      lines,
    };
    this.orders.push(order);
    this.keys.set(key, { body: asked.body, order });
    return { status: 201, json: view(order) };
  }

  private order(path: string): Reply {
    const [, id, events] = /^\/v1\/orders\/([0-9a-f-]{36})(\/events)?$/.exec(path) ?? [];
    const found = this.orders.find((order) => order.id === id);
    if (!found) return problem(404, 'not-found');
    return { status: 200, json: events ? { items: [] } : view(found) };
  }
}

/** The key with its owner: each buyer has their own keys. */
function keyOf(asked: Asked): string {
  return `${ownerOf(asked)} ${asked.headers['idempotency-key']}`;
}

function ownerOf({ headers, path, body }: Asked): string {
  if (path.startsWith('/v1/guest')) return JSON.parse(body).email.toLowerCase();
  return String(headers.authorization);
}

function view({ id, number, currency, city, lines }: Placed) {
  return {
    id,
    number,
    lines: lines.map((line) => ({ ...line, title: line.sku, unit_cents: 500 })),
    status: 'pending',
    payment: 'not_paid',
    fulfilment: 'unfulfilled',
    currency,
    total_cents: 500,
    placed_at: '2026-11-25T08:00:00Z',
    updated_at: '2026-11-25T08:00:00Z',
    refunds: [],
    wait: null,
    shipping_address: {
      name: 'Ana',
      line1: 'Calle Mayor 1',
      postal_code: '1',
      city,
      country: 'ES',
    },
  };
}
