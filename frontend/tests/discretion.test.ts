import { expect, it } from 'vitest';

import { codeRefusal, isOutage } from '../src/lib/server/discretion';

it('a wrong code, an expired one and an unknown account get the same text', () => {
  for (const refusal of [
    'wrong-code',
    'expired-code',
    'wrong-credentials',
    'unconfirmed',
    'invalid',
    'user-exists',
    'too-many-attempts',
  ] as const) {
    expect(codeRefusal(refusal)).toBe('wrong-code');
    expect(isOutage(refusal)).toBe(false);
  }
  expect(codeRefusal('unavailable')).toBe('unavailable');
  expect(isOutage('unavailable')).toBe(true);
});
