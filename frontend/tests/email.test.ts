import { expect, it } from 'vitest';

import { isEmail, mayHaveAccount } from '../src/lib/email';
// A test of `crates/orders` has the same cases for the API's rule.
import emails from './emails.json';

it.each(emails.good)('is an address: %s', (text) => {
  expect(isEmail(text)).toBe(true);
});

it.each(emails.bad)('is no address: %s', (text) => {
  expect(isEmail(text)).toBe(false);
});

it('lets an account sign in whose address is from before the rule', () => {
  for (const text of ['pepe@españa.es', '"ana"@x.com', 'ana@ex_ample.com']) {
    expect(isEmail(text)).toBe(false);
    expect(mayHaveAccount(text)).toBe(true);
  }
  for (const text of ['ana', 'ana@', 'ana@cauce', 'ana maria@x.com']) {
    expect(mayHaveAccount(text)).toBe(false);
  }
});
