/**
 * Limits on guessing: how often one network, or everybody together, may try something with one
 * account. The API counts, for all processes at once. While it cannot, this process counts alone, so
 * that people can sign in while the database is down.
 */
import { createHash } from 'node:crypto';

import type { RequestEvent } from '@sveltejs/kit';

import type { Api, Attempt, AttemptKind } from './api';
import { networkOf } from './budget';
import { isKnown } from './known-accounts';
import { createLimiter } from './limiter';
import { log, reason } from './log';
import { problem } from './problem';

/** How long the API may take to count. A sign-in waits for it. */
const DEADLINE_MS = 2_000;

/** The bounds while this process counts alone: stricter than the API's, and only for the outage. */
const WINDOW_MS = 15 * 60 * 1_000;
const ofPair = createLimiter(10, WINDOW_MS);
const ofAccount = createLimiter(30, WINDOW_MS);
const ofNetwork = createLimiter(100, WINDOW_MS);

type Event = Pick<RequestEvent, 'cookies' | 'getClientAddress' | 'locals'>;

/** Counts one more try, and answers whether it is within the limits. */
export async function mayTry(event: Event, kind: AttemptKind, email: string): Promise<boolean> {
  const account = accountOf(email);
  const known = await isKnown(event.cookies, account);
  const body = { kind, account, known, succeeded: false };
  const counted = await count(event.locals.api, body);
  const isWithin = counted ?? countAlone(kind, account, networkOf(event.getClientAddress()));
  if (!isWithin) log('WARN', 'attempt.refused', { kind, account });
  return isWithin;
}

/** A try beyond its pair's limit counts no further: a stranger uses up no one else's tries. */
function countAlone(kind: AttemptKind, account: string, network: string): boolean {
  const now = Date.now();
  return (
    ofPair(`${kind} ${network} ${account}`, now) &&
    ofNetwork(`${kind} ${network}`, now) &&
    ofAccount(`${kind} ${account}`, now)
  );
}

/** Takes back a try that has succeeded: only failures count. */
export async function hasSucceeded(event: Event, kind: AttemptKind, email: string): Promise<void> {
  const account = accountOf(email);
  log('INFO', 'attempt.succeeded', { kind, account });
  const known = await isKnown(event.cookies, account);
  await count(event.locals.api, { kind, account, known, succeeded: true });
}

/** Logs a try that has failed: Cognito's refusal says why. */
export function hasFailed(kind: AttemptKind, email: string, refusal: string): void {
  log('WARN', 'attempt.failed', { kind, account: accountOf(email), refusal });
}

/** Names an account to count by, without its address. */
export function accountOf(email: string): string {
  return createHash('sha256').update(email.trim().toLowerCase()).digest('hex');
}

/** Whether the API allows it; nothing, if it cannot say. */
async function count(api: Api, body: Attempt): Promise<boolean | undefined> {
  try {
    const { error, response } = await api.POST('/v1/attempts', {
      body,
      // One try: a person waits, and this process can count by itself.
      fetch: (request) => fetch(request, { signal: AbortSignal.timeout(DEADLINE_MS) }),
    });
    if (response.ok) return true;
    // API Gateway's own 429 says nothing about this account.
    if (problem(response.status, error).kind === 'too-many-tries') return false;
    log('WARN', 'attempts.not_counted', { status: response.status });
  } catch (error) {
    log('WARN', 'attempts.not_counted', { reason: reason(error) });
  }
  return undefined;
}
