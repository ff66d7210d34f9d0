import { describe, expect, it } from 'vitest';

import { createBudget, networkOf } from '../src/lib/server/budget';

describe('a budget', () => {
  it('allows a burst, then a rate per second', () => {
    let now = 0;
    const budget = createBudget({ perSecond: 2, burst: 3 }, () => now);
    const spend = () => budget.spend('192.0.2.7');
    expect([spend(), spend(), spend(), spend()]).toEqual([0, 0, 0, 1]);
    now += 500;
    expect([spend(), spend()]).toEqual([0, 1]);
    now += 60_000;
    expect([spend(), spend(), spend(), spend()]).toEqual([0, 0, 0, 1]);
    expect(budget.spend('192.0.2.8')).toBe(0);
  });

  it('of an IPv6 site is shared by its networks, and ten times as high', () => {
    const budget = createBudget({ perSecond: 1, burst: 2 }, () => 0);
    const spend = (network: number) => budget.spend(`2001:db8:1:${network}::1`);
    expect([spend(0), spend(0), spend(0)]).toEqual([0, 0, 1]);
    const others = Array.from({ length: 18 }, (_, it) => spend(it + 1));
    expect(others).toEqual(Array(18).fill(0));
    expect(spend(19)).toBe(1);
    expect(budget.spend('2001:db8:2::1')).toBe(0);
  });

  it('forgets the networks that were idle for longest', () => {
    const budget = createBudget({ perSecond: 1, burst: 1 }, () => 0);
    const addresses = Array.from({ length: 50_001 }, (_, it) => `10.${it >> 16}.${it >> 8}.${it}`);
    for (const address of addresses) budget.spend(address);
    expect(budget.spend(addresses[50_000] ?? '')).toBe(1);
    expect(budget.spend(addresses[0] ?? '')).toBe(0);
  });
});

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['no address', 'no address'],
])('%s is in the network %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
