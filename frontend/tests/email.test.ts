import { expect, it } from 'vitest';

import { isEmail, mayHaveAccount } from '../src/lib/email';
// A test of `crates/orders` has the same cases for the API's rule.
import emails from './emails.json';

it.each(emails.good)('is valid: %s', (text) => {
  expect(isEmail(text)).toBe(true);
});

it.each(emails.bad)('is not valid: %s', (text) => {
  expect(isEmail(text)).toBe(false);
});

it('an account with an address from before the rule can sign in', () => {
  for (const text of ['pepe@españa.es', '"ana"@x.com', 'ana@ex_ample.com']) {
    expect(isEmail(text)).toBe(false);
    expect(mayHaveAccount(text)).toBe(true);
  }
  for (const text of ['ana', 'ana@', 'ana@cauce', 'ana maria@x.com']) {
    expect(mayHaveAccount(text)).toBe(false);
  }
});
