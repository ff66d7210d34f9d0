/**
 * The rules of docs/decisions/0021-the-key-belongs-to-the-intent.md: when two submitted forms are
 * the same purchase, and what is known of an attempt without a response. Pure; times in
 * milliseconds.
 */

/** Who orders. The API keeps idempotency keys per buyer. */
export type Buyer = { kind: 'account'; id: string } | { kind: 'guest'; email: string };

/** An order was requested, and its outcome is not known. */
export type Attempt = {
  by: Buyer;
  firstAt: number;
  lastAt: number;
};

/** Which page shows an order. */
export type OrderPlace =
  { kind: 'account'; id: string } | { kind: 'guest'; number: string; email: string };

/** One purchase, from opening the checkout until its order is shown. */
export type Intent = {
  /** The idempotency key of all its requests. */
  key: string;
  attempt?: Attempt;
  /** The previous intent, which is finished. */
  last?: {
    key: string;
    order: OrderPlace;
    /** Who ordered; removed once the order's page is shown. */
    unseenBy?: Buyer;
  };
};

/** The outcome of an attempt. */
export type Fate<T> =
  | { kind: 'placed'; order: T }
  /** No order was placed, and none will be. */
  | { kind: 'not-placed' }
  /** No order was placed yet, but a request may still be in flight. */
  | { kind: 'pending' }
  /** The API no longer keeps the key. */
  | { kind: 'forgotten' };

const MINUTE = 60_000;
/** Longer than a request can be in flight: 10 s in `transport.ts`, 30 s in API Gateway. */
const UNDER_WAY_MS = MINUTE;
/** Shorter than the API keeps a key: `IdempotencyHours` is at least 24. */
const REMEMBERED_MS = 23 * 60 * MINUTE;

export function begin(key: string): Intent {
  return { key };
}

export function isSame(one: Buyer, other: Buyer): boolean {
  return one.kind === 'account'
    ? other.kind === 'account' && one.id === other.id
    : other.kind === 'guest' && one.email.toLowerCase() === other.email.toLowerCase();
}

/**
 * The intent with an attempt that is about to be made. Another buyer's attempt stays: with the same
 * key, the API would place a second order.
 */
export function attempted(intent: Intent, by: Buyer, now: number): Intent {
  const { attempt } = intent;
  if (attempt && !isSame(attempt.by, by)) return intent;
  return { ...intent, attempt: { by, firstAt: attempt?.firstAt ?? now, lastAt: now } };
}

/**
 * Whether the buyer may place the order: the attempt is recorded, and the API still keeps the key.
 */
export function isReady({ attempt }: Intent, by: Buyer, now: number): boolean {
  return attempt !== undefined && isSame(attempt.by, by) && !isForgotten(attempt, now);
}

/** The intent after its last attempt is refused. Earlier attempts may have been accepted. */
export function refused(intent: Intent): Intent {
  const { attempt } = intent;
  return attempt && attempt.firstAt !== attempt.lastAt ? intent : settled(intent);
}

/** The intent once none of its attempts was or will be accepted. */
export function settled({ key, last }: Intent): Intent {
  return { key, ...(last && { last }) };
}

/** The next intent, after this one's order is found. That order is not shown yet. */
export function finished(intent: Intent, order: OrderPlace, by: Buyer, key: string): Intent {
  return { key, last: { key: intent.key, order, unseenBy: by } };
}

/** The intent once that order's page is shown. */
export function seen(intent: Intent, shown: OrderPlace): Intent {
  const { last } = intent;
  if (!last?.unseenBy || !isSamePlace(last.order, shown)) return intent;
  return { ...intent, last: { key: last.key, order: last.order } };
}

function isSamePlace(one: OrderPlace, other: OrderPlace): boolean {
  return one.kind === 'account'
    ? other.kind === 'account' && one.id === other.id
    : other.kind === 'guest' && one.number === other.number;
}

/** The outcome of an attempt for which the API finds this order, or none. */
export function fate<T>(attempt: Attempt, found: T | undefined, now: number): Fate<T> {
  if (found !== undefined) return { kind: 'placed', order: found };
  if (isForgotten(attempt, now)) return { kind: 'forgotten' };
  return { kind: now - attempt.lastAt < UNDER_WAY_MS ? 'pending' : 'not-placed' };
}

function isForgotten({ firstAt }: Attempt, now: number): boolean {
  return now - firstAt > REMEMBERED_MS;
}
