import { describe, expect, it } from 'vitest';

import { fieldOf, readSearch, toQuery } from '../src/routes/staff/orders/search';

const query = (form: string) => toQuery(readSearch(new URLSearchParams(form)));

describe('the search for orders', () => {
  it('recognizes an order and an e-mail address', () => {
    const id = '0190A8F2-0000-7000-8000-000000000001';
    expect(query(`q=${id}`).query).toEqual({ order: id });
    expect(query('q=c7k3f9q2mx').query).toEqual({ order: 'c7k3f9q2mx' });
    expect(query('q=C7K3-F9Q2-MX').query).toEqual({ order: 'C7K3-F9Q2-MX' });
    expect(query('q=%20ana@example.com ').query).toEqual({ email: 'ana@example.com' });
  });

  it('includes the last day', () => {
    expect(query('from=2026-01-15&to=2026-01-15').query).toEqual({
      placed_from: '2026-01-14T23:00:00.000Z',
      placed_to: '2026-01-15T23:00:00.000Z',
    });
  });

  it('shows which filter is not valid', () => {
    expect(query('q=<script>&from=yesterday&to=2026-02-30').errors).toEqual({
      q: true,
      from: true,
      to: true,
    });
    expect(query('').errors).toEqual({});
    expect(['placed_from', 'placed_to', 'order'].map(fieldOf)).toEqual(['from', 'to', 'q']);
  });

  it('accepts no unknown status', () => {
    expect(query('status=lost&payment=captured&fulfilment=shipped').query).toEqual({
      payment: 'captured',
      fulfilment: 'shipped',
    });
  });
});
