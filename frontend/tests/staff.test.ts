import { describe, expect, it } from 'vitest';

import { lacksSecondFactor, mayEnter, sectionsFor } from '../src/lib/staff';

const SHOPPER = ['profile:read', 'orders:read', 'orders:write'];
const SUPPORT = ['orders:read-any', 'orders:refund', 'parked:read', 'attention:read'];
const OPERATOR = ['orders:read-any', 'circuits:read', 'circuits:write', 'parked:read'];

const names = (scopes: string[]) => sectionsFor(scopes).map(({ name }) => name);

describe('the staff desk', () => {
  it('shows everybody what their scopes open', () => {
    expect(names(SUPPORT)).toEqual(['orders', 'operations']);
    expect(names(['products:write', 'stock:write'])).toEqual(['catalogue']);
    expect(names(['users:read', 'audit:read', ...OPERATOR])).toEqual([
      'orders',
      'operations',
      'users',
      'audit',
    ]);
  });

  it('is closed to shoppers', () => {
    expect(names(SHOPPER)).toEqual([]);
    expect(mayEnter('/staff', SHOPPER)).toBe(false);
    expect(mayEnter('/staff/orders/1', SHOPPER)).toBe(false);
  });

  it('opens a page by the section that it is in', () => {
    expect(mayEnter('/staff', SUPPORT)).toBe(true);
    expect(mayEnter('/staff/orders/1', SUPPORT)).toBe(true);
    expect(mayEnter('/staff/users', SUPPORT)).toBe(false);
    expect(mayEnter('/staff/users/1/roles', ['users:read'])).toBe(true);
    // A path that only begins like a section's is none of its pages.
    expect(mayEnter('/staff/users-of-another', ['orders:read-any'])).toBe(true);
  });

  it('tells staff whose token opens nothing from shoppers', () => {
    expect(lacksSecondFactor(['shopper', 'support'], SHOPPER)).toBe(true);
    expect(lacksSecondFactor(['shopper', 'support'], [...SHOPPER, ...SUPPORT])).toBe(false);
    expect(lacksSecondFactor(['shopper'], SHOPPER)).toBe(false);
    expect(lacksSecondFactor([], SHOPPER)).toBe(false);
  });
});
