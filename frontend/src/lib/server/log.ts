/** Log lines: one JSON object an event. Never a token, a password or an address. */
import { getRequestEvent } from '$app/server';

type Level = 'INFO' | 'WARN' | 'ERROR';

export function log(level: Level, event: string, fields: Record<string, unknown> = {}): void {
  const timestamp = new Date().toISOString();
  console.log(JSON.stringify({ timestamp, level, event, trace_id: traceId(), ...fields }));
}

/** What an error says, with what caused it: enough to act on, without the values it was about. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error.name}: ${error.message}${cause}`;
}

function traceId(): string | undefined {
  try {
    return getRequestEvent().locals.traceId;
  } catch {
    // Outside of a request there is no trace.
    return undefined;
  }
}
