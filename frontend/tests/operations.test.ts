import { describe, expect, it } from 'vitest';

import type { Circuit, CircuitChange, Parked } from '../src/lib/server/api';
import { columnsOf } from '../src/routes/staff/operations/activity';
import { countByAge } from '../src/routes/staff/operations/ages';
import { hasErrors, readForce, readResolve } from '../src/routes/staff/operations/commands';
import { formStateOf } from '../src/routes/staff/operations/form-state';
import { columns, joined, samplesOf } from '../src/routes/staff/operations/rates';
import { place, stretches, ticks, windowOf } from '../src/routes/staff/operations/time-line';
import { readQuery, searchOf } from '../src/routes/staff/operations/query';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const MINUTE = 60_000;
const ago = (minutes: number) => new Date(NOW - minutes * MINUTE).toISOString();

const FIGURES = {
  calls: 20,
  failures: 5,
  slow: 1,
  retries: 2,
  failure_rate: 0.25,
  slow_rate: 0.05,
};

function change(minutes: number, it: Partial<CircuitChange>): CircuitChange {
  return { at: ago(minutes), from: 'closed', to: 'closed', cause: 'probe_failed', ...it };
}

function circuit(it: Partial<Circuit>): Circuit {
  return {
    provider: 'payments',
    state: 'closed',
    consecutive_opens: 0,
    figures: FIGURES,
    retries_allowed: 10,
    history: [],
    ...it,
  };
}

function form(fields: Record<string, string>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  return data;
}

describe('orders by the minute', () => {
  it('have a line for each count', () => {
    const minute = { at: '2026-01-01T12:00:00Z', accepted: 3, shipped: 2, cancelled: 1 };
    expect(columnsOf([minute])).toEqual([[NOW / 1000], [3], [2], [1]]);
    expect(columnsOf([])).toEqual([[], [], [], []]);
  });
});

describe('the form that overrides a circuit', () => {
  it('sends the choice', () => {
    const open = readForce(form({ subject: 'payments', choice: 'open', reason: ' a test\n' }));
    expect(open).toMatchObject({ provider: 'payments', force: 'open', errors: {} });
    expect(open.values.reason).toBe('a test');
    const release = readForce(
      form({ subject: 'shipping', choice: 'release', reason: 'well again' }),
    );
    expect(release).toMatchObject({ provider: 'shipping', force: null, errors: {} });
  });

  it('shows the fault of each field, and keeps the typed values', () => {
    const empty = readForce(form({ subject: 'payments' }));
    expect(empty.errors).toEqual({ reason: 'required', choice: true });
    expect(hasErrors(empty.errors)).toBe(true);
    const short = readForce(form({ subject: 'payments', choice: 'ajar', reason: 'no' }));
    expect(short.errors).toEqual({ reason: 'tooShort', choice: true });
    expect(short.values).toEqual({ choice: '', reason: 'no' });
    const long = readForce(form({ subject: 'payments', choice: 'open', reason: '🍵'.repeat(501) }));
    expect(long.errors).toEqual({ reason: 'tooLong' });
  });

  it('accepts no other circuit than the two', () => {
    const other = readForce(form({ subject: '../orders', choice: 'open', reason: 'a test' }));
    expect(other.provider).toBeUndefined();
  });
});

it('reads the resolution of an item', () => {
  const fields = { subject: 'id-1', choice: 'restart', reason: 'looked at it' };
  expect(readResolve(form(fields))).toMatchObject({
    id: 'id-1',
    resolution: 'restart',
    errors: {},
  });
  expect(readResolve(form({ ...fields, choice: 'forget' })).errors).toEqual({ choice: true });
});

describe('a form of the console', () => {
  const values = { choice: 'open', reason: 'a test' };
  const refused = { action: 'force', subject: 'payments', values, errors: {}, refusal: undefined };
  const draft = { action: 'force', fields: { subject: 'payments', ...values } };

  it('begins with its refused values, and not with those of another form', () => {
    expect(formStateOf('force', 'payments', refused, undefined)).toMatchObject({ values });
    expect(formStateOf('force', 'shipping', refused, undefined)).toBeUndefined();
    expect(formStateOf('resolve', 'payments', refused, undefined)).toBeUndefined();
  });

  it('begins with the values typed before the user had to sign in again', () => {
    expect(formStateOf('force', 'payments', null, draft)).toMatchObject({ values, restored: true });
    expect(formStateOf('force', 'shipping', null, draft)).toBeUndefined();
    expect(
      formStateOf('force', 'payments', { ...refused, subject: 'shipping' }, draft),
    ).toBeUndefined();
  });
});

describe('the time line', () => {
  const opened = change(30, { to: 'open', cause: 'failure_rate' });
  const probed = change(20, { from: 'open', to: 'open' });
  const trial = change(10, { from: 'open', to: 'half_open', cause: 'probe_passed' });
  const history = [trial, probed, opened];

  it('reaches back an hour at least and a day at most', () => {
    expect(windowOf([circuit({})], NOW)).toEqual({ from: NOW - 60 * MINUTE, to: NOW });
    const late = circuit({ history: [change(90, {})] });
    expect(windowOf([circuit({ history }), late], NOW).from).toBe(NOW - 90 * MINUTE);
    const old = circuit({ history: [change(10_000, {})] });
    expect(windowOf([old], NOW).from).toBe(NOW - 24 * 60 * MINUTE);
  });

  it('shows one state after the other without a gap', () => {
    const window = windowOf([circuit({ history })], NOW);
    const lasting = stretches(circuit({ state: 'half_open', history }), window);
    expect(
      lasting.map(({ look, from, to }) => [look, (NOW - from) / MINUTE, (NOW - to) / MINUTE]),
    ).toEqual([
      ['closed', 60, 30],
      ['open', 30, 10],
      ['half_open', 10, 0],
    ]);
  });

  it('shows an override over the state that it hides', () => {
    const forced = change(5, {
      from: 'half_open',
      to: 'half_open',
      forced: 'disabled',
      cause: 'forced',
    });
    const released = change(2, { from: 'half_open', to: 'half_open', cause: 'released' });
    const window = { from: NOW - 8 * MINUTE, to: NOW };
    const lasting = stretches(circuit({ history: [released, forced, ...history] }), window);
    expect(lasting.map(({ look, forced }) => [look, forced])).toEqual([
      ['half_open', false],
      ['disabled', true],
      ['half_open', false],
    ]);
  });

  it('shows the present state of a circuit that never changed', () => {
    const window = { from: NOW - MINUTE, to: NOW };
    const by = { by: 'ops', reason: 'a test', at: ago(100) };
    expect(stretches(circuit({}), window)).toEqual([{ look: 'closed', forced: false, ...window }]);
    expect(stretches(circuit({ forced: { force: 'open', ...by } }), window)).toEqual([
      { look: 'open', forced: true, ...window },
    ]);
  });

  it('places times in its drawing', () => {
    const window = { from: NOW - 60 * MINUTE, to: NOW };
    expect(place(NOW - 15 * MINUTE, window, 1000)).toBe(750);
    expect(ticks(window, 4)).toEqual([60, 40, 20, 0].map((it) => NOW - it * MINUTE));
  });
});

describe('the rates', () => {
  const quiet = { ...FIGURES, failure_rate: 0, slow_rate: 0 };

  it('begin with the history', () => {
    const history = [change(1, { figures: FIGURES }), change(2, {})];
    const samples = samplesOf([circuit({ figures: quiet, history })], ago(0));
    expect(samples.map(({ at, failure }) => [NOW / 1000 - at, failure])).toEqual([
      [60, 0.25],
      [0, 0],
    ]);
  });

  it('are merged in order of time, without duplicates', () => {
    const at = (minutes: number, figures = quiet) =>
      samplesOf([circuit({ figures })], ago(minutes));
    const known = [...at(5), ...at(4), ...at(3)];
    expect(joined(known, at(3)).map((it) => NOW / 1000 - it.at)).toEqual([300, 180]);
    expect(joined(known, at(2, FIGURES)).map((it) => NOW / 1000 - it.at)).toEqual([300, 180, 120]);
  });

  it('become columns with a gap where a circuit has no figures', () => {
    const history = [change(1, { figures: FIGURES })];
    const circuits = [circuit({ figures: quiet, history }), circuit({ provider: 'shipping' })];
    const [times, ...lines] = columns(samplesOf(circuits, ago(0)));
    expect(times).toEqual([NOW / 1000 - 60, NOW / 1000]);
    expect(lines).toEqual([
      [0.25, 0],
      [0.05, 0],
      [null, 0.25],
      [null, 0.05],
    ]);
  });
});

it('counts the parked work by provider and age', () => {
  const parked = (provider: 'payments' | 'shipping', minutes: number): Parked => ({
    order_id: `${provider} ${minutes}`,
    step: 'BuyLabel',
    wait: { provider, reason: '', since: ago(minutes), attempts: 1, next_attempt: ago(0) },
  });
  const items = [parked('payments', 0), parked('payments', 5), parked('shipping', 3000)];
  expect(countByAge(items, NOW)).toEqual({
    payments: { minutes: 1, hour: 1, day: 0, longer: 0 },
    shipping: { minutes: 0, hour: 0, day: 0, longer: 1 },
  });
});

it('reads its lists from the URL, and writes them back', () => {
  const address = 'provider=shipping&parked=p1&attention=a1';
  expect(searchOf(readQuery(new URLSearchParams(address))).toString()).toBe(address);
  expect(searchOf(readQuery(new URLSearchParams('provider=other&parked='))).toString()).toBe('');
});
