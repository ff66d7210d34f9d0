import { expect, it } from 'vitest';

import { draw, isSecret, keyUri } from '../src/lib/server/authenticator';

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

it('names the shop and the person in the key URI', () => {
  const uri = new URL(keyUri(SECRET, 'ana+1@example.com'));
  expect(uri.protocol).toBe('otpauth:');
  expect(decodeURIComponent(uri.pathname)).toMatch(/Cauce:ana\+1@example\.com$/);
  expect(Object.fromEntries(uri.searchParams)).toEqual({ secret: SECRET, issuer: 'Cauce' });
});

it('draws the URI as a square of a QR code, quiet zone included', () => {
  const { path, margin, size } = draw(keyUri(SECRET, 'ana@example.com'));
  expect((size - 2 * margin - 17) % 4).toBe(0);
  // The first module of the finder pattern in the upper left corner.
  expect(path).toContain('M0 ');
});

it('accepts only base 32 as a secret', () => {
  expect(isSecret(SECRET)).toBe(true);
  expect(isSecret('<script>alert(1)</script>')).toBe(false);
  expect(isSecret('')).toBe(false);
});
