/** The parts of the operations console. They load independently: one that fails hides no other. */
import {
  type Activity,
  type Api,
  type AttentionList,
  type Circuit,
  type DeadLetterList,
  type ParkedList,
  type Provider,
  type Result,
  outcome,
} from './api';
import type { Problem } from './problem';

/** Hidden where the person has no scope for it. */
export type Part<T> = { state: 'hidden' } | { state: 'failed' } | { state: 'shown'; value: T };

export type Operations = {
  /** When it was loaded. */
  at: string;
  activity: Part<Activity>;
  circuits: Part<Circuit[]>;
  parked: Part<ParkedList>;
  attention: Part<AttentionList>;
  deadLetters: Part<DeadLetterList>;
};

/** Which pages of the lists are shown. */
export type OperationsQuery = {
  provider: Provider | undefined;
  parkedCursor: string | undefined;
  attentionCursor: string | undefined;
};

/** The API's largest page. */
const PARKED = 100;

/** Fails as a whole only if the person has to sign in again, or a cursor is invalid. */
export async function viewOperations(
  api: Api,
  scopes: readonly string[],
  { provider, parkedCursor, attentionCursor }: OperationsQuery,
): Promise<Result<Operations>> {
  const parkedQuery = {
    limit: PARKED,
    ...(provider && { provider }),
    ...(parkedCursor && { cursor: parkedCursor }),
  };
  const attentionQuery = attentionCursor ? { cursor: attentionCursor } : {};
  const may = (scope: string) => scopes.includes(scope);
  const [activity, circuits, parked, attention, deadLetters] = await Promise.all([
    may('activity:read') ? outcome(api.GET('/v1/ops/activity')) : undefined,
    may('circuits:read') ? outcome(api.GET('/v1/ops/circuits')) : undefined,
    may('parked:read')
      ? outcome(api.GET('/v1/ops/parked', { params: { query: parkedQuery } }))
      : undefined,
    may('attention:read')
      ? outcome(api.GET('/v1/ops/attention', { params: { query: attentionQuery } }))
      : undefined,
    may('dead-letters:read') ? outcome(api.GET('/v1/ops/dead-letters')) : undefined,
  ]);
  const problem = [activity, circuits, parked, attention, deadLetters].map(endOf).find(Boolean);
  if (problem) return { ok: false, problem };
  return {
    ok: true,
    value: {
      at: new Date().toISOString(),
      activity: part(activity),
      circuits: part(circuits && mapped(circuits, ({ items }) => items)),
      parked: part(parked),
      attention: part(attention),
      deadLetters: part(deadLetters),
    },
  };
}

function endOf(result: Result<unknown> | undefined): Problem | undefined {
  if (!result || result.ok) return undefined;
  const { kind } = result.problem;
  return kind === 'unauthorized' || kind === 'invalid-cursor' ? result.problem : undefined;
}

function mapped<T, U>(result: Result<T>, map: (value: T) => U): Result<U> {
  return result.ok ? { ok: true, value: map(result.value) } : result;
}

function part<T>(result: Result<T> | undefined): Part<T> {
  if (!result) return { state: 'hidden' };
  return result.ok ? { state: 'shown', value: result.value } : { state: 'failed' };
}
