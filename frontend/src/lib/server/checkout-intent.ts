/**
 * The rules of docs/decisions/0021-the-key-belongs-to-the-intent.md: when two sent forms are one
 * wish to buy, and what can be known of an attempt that got no answer. Pure; times in milliseconds.
 */

/** Who orders: idempotency keys are the API's per buyer. */
export type Buyer = { kind: 'account'; id: string } | { kind: 'guest'; email: string };

/** An order was asked for, and it is not known what became of it. */
export type Attempt = {
  by: Buyer;
  firstAt: number;
  lastAt: number;
};

/** Where an order is shown. */
export type OrderPlace =
  { kind: 'account'; id: string } | { kind: 'guest'; number: string; email: string };

/** A wish to buy, from the first look at the checkout until its order is shown. */
export type Intent = {
  /** The idempotency key of everything that is sent for it. */
  key: string;
  attempt?: Attempt;
  /** The intent before, which is finished. */
  last?: {
    key: string;
    order: OrderPlace;
    /** Who ordered, until the order's page was shown. */
    unseenBy?: Buyer;
  };
};

/** What became of an attempt. */
export type Fate<T> =
  | { kind: 'placed'; order: T }
  /** Nothing was placed, and nothing will be. */
  | { kind: 'not-placed' }
  /** Nothing was placed yet, but a request may still be under way. */
  | { kind: 'pending' }
  /** The API has forgotten by now whether it was placed. */
  | { kind: 'forgotten' };

const MINUTE = 60_000;
/** Longer than a request can be under way: 10 s in `transport.ts`, 30 s in API Gateway. */
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
 * The intent with an attempt that is about to be made. An attempt of another buyer stays: under the
 * same key the API would place a second order for them.
 */
export function attempted(intent: Intent, by: Buyer, now: number): Intent {
  const { attempt } = intent;
  if (attempt && !isSame(attempt.by, by)) return intent;
  return { ...intent, attempt: { by, firstAt: attempt?.firstAt ?? now, lastAt: now } };
}

/** Whether the buyer may ask for the order: an attempt that is on record, and that the API remembers. */
export function isReady({ attempt }: Intent, by: Buyer, now: number): boolean {
  return attempt !== undefined && isSame(attempt.by, by) && !isForgotten(attempt, now);
}

/** The intent once its last attempt is refused: the attempts before may have been accepted. */
export function refused(intent: Intent): Intent {
  const { attempt } = intent;
  return attempt && attempt.firstAt !== attempt.lastAt ? intent : settled(intent);
}

/** The intent once it is known that none of its attempts was accepted, or will be. */
export function settled({ key, last }: Intent): Intent {
  return { key, ...(last && { last }) };
}

/** What follows an intent whose order is found. That order is still to be shown. */
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

/** What became of an attempt for which the API finds that order, or none. */
export function fate<T>(attempt: Attempt, found: T | undefined, now: number): Fate<T> {
  if (found !== undefined) return { kind: 'placed', order: found };
  if (isForgotten(attempt, now)) return { kind: 'forgotten' };
  return { kind: now - attempt.lastAt < UNDER_WAY_MS ? 'pending' : 'not-placed' };
}

function isForgotten({ firstAt }: Attempt, now: number): boolean {
  return now - firstAt > REMEMBERED_MS;
}
