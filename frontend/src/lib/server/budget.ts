/**
 * Rate limits for a network and for an IPv6 site: a token bucket each, in this process's memory.
 */
import { isIPv6 } from 'node:net';

import { LRUCache } from 'lru-cache';

/** How many networks are kept; the least recently seen is dropped first. */
const MAX_NETWORKS = 50_000;

/** How many times the budget of a network an IPv6 site has: it may be a whole company. */
const SITE_FACTOR = 10;

type Bucket = { tokens: number; at: number };

export type Budget = {
  /** Takes a token of the network. Returns 0, or the seconds until the next token. */
  spend(address: string): number;
};

export function createBudget(
  { perSecond, burst }: { perSecond: number; burst: number },
  now: () => number = () => performance.now(),
): Budget {
  const buckets = new LRUCache<string, Bucket>({ max: MAX_NETWORKS });
  const take = (name: string, times: number): number => {
    const at = now();
    const last = buckets.get(name) ?? { tokens: times * burst, at };
    const earned = ((at - last.at) / 1000) * times * perSecond;
    const tokens = Math.min(times * burst, last.tokens + earned);
    const isSpent = tokens < 1;
    buckets.set(name, { tokens: isSpent ? tokens : tokens - 1, at });
    return isSpent ? Math.ceil((1 - tokens) / (times * perSecond)) : 0;
  };
  return {
    spend(address) {
      const { network, site } = originOf(address);
      const seconds = take(network, 1);
      return seconds === 0 && site !== undefined ? take(site, SITE_FACTOR) : seconds;
    },
  };
}

/** An IPv4 address, or the /64 of an IPv6 address, which belongs to one customer. */
export function networkOf(address: string): string {
  return originOf(address).network;
}

/** The network of an address, and the /48 of an IPv6 address, which may belong to one customer. */
function originOf(address: string): { network: string; site?: string } {
  if (!isIPv6(address)) return { network: address };
  const groups = groupsOf(address);
  const [, , , , , mapped, high = 0, low = 0] = groups;
  if (groups.slice(0, 5).every((group) => group === 0) && mapped === 0xffff) {
    return { network: [high >> 8, high & 255, low >> 8, low & 255].join('.') };
  }
  const prefix = (length: number) =>
    groups
      .slice(0, length / 16)
      .map((group) => group.toString(16))
      .join(':');
  return { network: `${prefix(64)}::/64`, site: `${prefix(48)}::/48` };
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [withoutZone = ''] = address.split('%');
  // `URL` writes an embedded IPv4 address in hexadecimal.
  const canonical = new URL(`http://[${withoutZone}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = canonical
    .split('::')
    .map((part) => part.split(':').filter(Boolean));
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
}
