import { describe, expect, it } from 'vitest';

import { InvalidPathParameter, apiPath } from '../src/lib/server/api-path';
import { match as matchesSku } from '../src/params/sku';
import { match as matchesUuid } from '../src/params/uuid';

const ID = '0190a8b2-7c1d-7e3f-8a4b-5c6d7e8f9a0b';

/** Path parameters of an attacker, decoded as SvelteKit passes them. */
const HOSTILE = [
  '',
  '.',
  '..',
  '%2e%2e',
  '..\\users#',
  '..\\audit#',
  'search#',
  '../users',
  '..\\..\\ops\\dead-letters\\redrive#',
  `${ID}\\refunds#`,
  `${ID}/refunds`,
  `${ID}#`,
  `${ID}?`,
  `${ID};`,
  `${ID}\n`,
  `${ID}\0`,
  ` ${ID}`,
  `{${ID}}`,
  `urn:uuid:${ID}`,
  `${ID}%2Frefunds`,
  `${ID}%255crefunds`,
  ID.replaceAll('-', ''),
  `${ID.slice(0, -1)}０`,
  'TEA-0001\\document#',
  'TEA-0001/',
  'TEA-0001\n',
  'tea-0001',
  '-TEA',
  'TÉ-1',
  'A'.repeat(41),
  'payments\\..\\shipping',
  'constructor',
  '\uFFFD',
  '\uD800',
];

describe('a path parameter', () => {
  it('is inserted into the path if it is valid for its name', () => {
    expect(apiPath('/v1/orders/{id}/events', { id: ID })).toBe(`/v1/orders/${ID}/events`);
    expect(apiPath('/v1/users/{id}', { id: ID.toUpperCase() })).toContain(ID.toUpperCase());
    expect(apiPath('/v1/stock/{sku}', { sku: 'TEA-0001' })).toBe('/v1/stock/TEA-0001');
    expect(apiPath('/v1/ops/parked/{order}/release', { order: ID })).toContain(ID);
    expect(apiPath('/v1/ops/circuits/{provider}', { provider: 'shipping' })).toMatch(/shipping$/);
  });

  it.each(HOSTILE)('%j is refused in a path of the API', (value) => {
    for (const name of ['id', 'order', 'sku', 'provider', 'other']) {
      expect(() => apiPath(`/v1/things/{${name}}`, { [name]: value })).toThrow(
        InvalidPathParameter,
      );
    }
  });

  it.each(HOSTILE)('%j matches no page', (value) => {
    expect(matchesUuid(value)).toBe(false);
    expect(matchesSku(value)).toBe(false);
  });

  it('is required', () => {
    expect(() => apiPath('/v1/users/{id}', {})).toThrow(InvalidPathParameter);
  });
});
