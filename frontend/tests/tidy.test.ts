import { describe, expect, test } from 'vitest';

import { tidy } from '../src/lib/tidy';

describe('text from a form', () => {
  test.each([
    [' Ana\tGómez\n', 'Ana Gómez'],
    ['\u202aCalle\u00ad Mayor 1\u202c', 'Calle Mayor 1'],
    ['\ufeffAna\u200b', 'Ana'],
    ['Ana\u202ezemóG', 'AnazemóG'],
    ['می\u200cخواهم', 'می\u200cخواهم'],
    ['❤\ufe0f\u200d🔥', '❤\ufe0f\u200d🔥'],
  ])('%j becomes %j', (typed, kept) => {
    expect(tidy(typed)).toBe(kept);
  });
});
