/**
 * Names under `localhost` resolve to this machine (RFC 6761). Chromium knows that. Node, which sends the requests
 * outside the browser, asks the system's resolver, which may not.
 */
import dns from 'node:dns';

type Answer = (error: Error | null, address: unknown, family?: number) => void;

const HERE = { address: '127.0.0.1', family: 4 };
const isHere = (name: string) => name.endsWith('.localhost');

const { lookup } = dns;
const lookupOrHere = (name: string, options: dns.LookupOptions, answer: Answer): void => {
  if (!isHere(name)) return lookup(name, options, answer as never);
  if (options.all) answer(null, [HERE]);
  else answer(null, HERE.address, HERE.family);
};
Object.assign(dns, { lookup: lookupOrHere });

const { lookup: lookupLater } = dns.promises;
const lookupOrHereLater = (name: string, options: dns.LookupAllOptions) => {
  if (!isHere(name)) return lookupLater(name, options);
  return Promise.resolve(options.family === 6 ? [] : [HERE]);
};
Object.assign(dns.promises, { lookup: lookupOrHereLater });
