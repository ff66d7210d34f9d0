import { UnsecuredJWT } from 'jose';
import { expect, it } from 'vitest';

import { permissions } from '../src/lib/server/claims';

it('reads scopes and roles from an access token', () => {
  const token = new UnsecuredJWT({
    sub: 'a-user',
    scope: 'orders:read  users:read',
    'cognito:groups': ['support', 7],
  }).encode();
  expect(permissions(token)).toEqual({
    subject: 'a-user',
    scopes: ['orders:read', 'users:read'],
    roles: ['support'],
  });
});

it('reads no scopes and no roles from an invalid token', () => {
  const nothing = { subject: '', scopes: [], roles: [] };
  expect(permissions(new UnsecuredJWT({ scope: ['a'], 'cognito:groups': 'a' }).encode())).toEqual(
    nothing,
  );
  expect(permissions('no token')).toEqual(nothing);
});
