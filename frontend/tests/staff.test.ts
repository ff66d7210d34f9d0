import { describe, expect, it } from 'vitest';

import { lacksSecondFactor, sectionsFor } from '../src/lib/staff';

const SHOPPER = ['profile:read', 'orders:read', 'orders:write'];
const SUPPORT = ['orders:read-any', 'orders:refund', 'parked:read', 'attention:read'];
const OPERATOR = ['orders:read-any', 'circuits:read', 'circuits:write', 'parked:read'];

const names = (scopes: string[]) => sectionsFor(scopes).map(({ name }) => name);

describe('the staff desk', () => {
  it('shows each user the sections that their scopes allow', () => {
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
  });

  it('distinguishes staff without staff scopes from shoppers', () => {
    expect(lacksSecondFactor(['shopper', 'support'], SHOPPER)).toBe(true);
    expect(lacksSecondFactor(['shopper', 'support'], [...SHOPPER, ...SUPPORT])).toBe(false);
    expect(lacksSecondFactor(['shopper'], SHOPPER)).toBe(false);
    expect(lacksSecondFactor([], SHOPPER)).toBe(false);
  });
});
