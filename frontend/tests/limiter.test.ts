import { expect, it } from 'vitest';

import { createLimiter } from '../src/lib/server/limiter';

it('allows a number of attempts in a window for each name', () => {
  const mayTry = createLimiter(3, 1_000);
  const answers = [0, 1, 2, 3, 999].map((now) => mayTry('ana', now));
  expect(answers).toEqual([true, true, true, false, false]);
  expect(mayTry('ben', 3)).toBe(true);
  expect(mayTry('ana', 1_000)).toBe(true);
});
