/**
 * Limits on guessing passwords and codes: how many attempts one network, and all networks together,
 * may make on one account. The API counts for all processes. While it is unavailable, this process
 * counts alone, so that people can sign in while the database is down.
 */
import { createHash } from 'node:crypto';

import type { RequestEvent } from '@sveltejs/kit';

import type { Api, Attempt, AttemptKind } from './api';
import { networkOf } from './budget';
import { isKnown } from './known-accounts';
import { createLimiter } from './limiter';
import { log, reason } from './log';
import { problem } from './problem';

/** How long the API may take. A sign-in waits for it. */
const DEADLINE_MS = 2_000;

/** The limits while this process counts alone: stricter than the API's. */
const WINDOW_MS = 15 * 60 * 1_000;
const ofPair = createLimiter(10, WINDOW_MS);
const ofAccount = createLimiter(30, WINDOW_MS);
const ofNetwork = createLimiter(100, WINDOW_MS);

type Event = Pick<RequestEvent, 'cookies' | 'getClientAddress' | 'locals'>;

/** Counts an attempt. Returns whether it is within the limits. */
export async function mayTry(event: Event, kind: AttemptKind, email: string): Promise<boolean> {
  const account = accountOf(email);
  const known = await isKnown(event.cookies, account);
  const body = { kind, account, known, succeeded: false };
  const counted = await count(event.locals.api, body);
  const isWithin = counted ?? countAlone(kind, account, networkOf(event.getClientAddress()));
  if (!isWithin) log('WARN', 'attempt.refused', { kind, account });
  return isWithin;
}

/**
 * An attempt beyond the limit of its account and network is not counted for the account: a stranger
 * cannot use up the owner's attempts.
 */
function countAlone(kind: AttemptKind, account: string, network: string): boolean {
  const now = Date.now();
  return (
    ofPair(`${kind} ${network} ${account}`, now) &&
    ofNetwork(`${kind} ${network}`, now) &&
    ofAccount(`${kind} ${account}`, now)
  );
}

/** Uncounts an attempt that succeeded: only failures count. */
export async function hasSucceeded(event: Event, kind: AttemptKind, email: string): Promise<void> {
  const account = accountOf(email);
  log('INFO', 'attempt.succeeded', { kind, account });
  const known = await isKnown(event.cookies, account);
  await count(event.locals.api, { kind, account, known, succeeded: true });
}

/** Logs a failed attempt with Cognito's refusal. */
export function hasFailed(kind: AttemptKind, email: string, refusal: string): void {
  log('WARN', 'attempt.failed', { kind, account: accountOf(email), refusal });
}

/** The key to count an account by: a hash, not its address. */
export function accountOf(email: string): string {
  return createHash('sha256').update(email.trim().toLowerCase()).digest('hex');
}

/** Whether the API allows the attempt; undefined if it is unavailable. */
async function count(api: Api, body: Attempt): Promise<boolean | undefined> {
  try {
    const { error, response } = await api.POST('/v1/attempts', {
      body,
      // No retry: a person waits, and this process can count alone.
      fetch: (request) => fetch(request, { signal: AbortSignal.timeout(DEADLINE_MS) }),
    });
    if (response.ok) return true;
    // A 429 of API Gateway is not about this account.
    if (problem(response.status, error).kind === 'too-many-tries') return false;
    log('WARN', 'attempts.not_counted', { status: response.status });
  } catch (error) {
    log('WARN', 'attempts.not_counted', { reason: reason(error) });
  }
  return undefined;
}
