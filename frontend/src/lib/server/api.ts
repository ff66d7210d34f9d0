/**
 * The API's client: typed by its OpenAPI document, with the visitor's language, token and trace.
 */
import createClient, { type Client } from 'openapi-fetch';

import type { Language } from '$lib/i18n/language';

import { InvalidPathParameter, apiPath } from './api-path';
import type { components, paths } from './api-types';
import { config } from './config';
import { type Seen, TOKEN } from './consistency-cookie';
import { log, reason } from './log';
import { NOT_FOUND, type Problem, UNAVAILABLE, problem } from './problem';
import { traceHeaders } from './trace';
import { send } from './transport';

type Schemas = components['schemas'];
export type Product = Schemas['ProductView'];
export type Category = Schemas['CategoryView'];
export type Order = Schemas['OrderView'];
export type OrderSummary = Schemas['OrderSummary'];
export type TimelineEntry = Schemas['TimelineEntry'];
export type Placement = Schemas['Placement'];
export type Provider = Schemas['Provider'];
export type Activity = Schemas['Activity'];
export type Backlogs = Schemas['Backlogs'];
export type Minute = Schemas['Minute'];
export type Circuit = Schemas['Circuit'];
export type CircuitChange = Schemas['CircuitChange'];
export type Forced = Schemas['Forced'];
export type ParkedList = Schemas['ParkedList'];
export type Parked = Schemas['ParkedView'];
export type AttentionList = Schemas['AttentionList'];
export type Attention = Schemas['Attention'];
export type Resolution = Schemas['Resolution'];
export type DeadLetterList = Schemas['DeadLetterList'];
export type FoundOrder = Schemas['FoundOrder'];
export type User = Schemas['User'];
export type Attempt = Schemas['AttemptRequest'];
export type AttemptKind = Schemas['AttemptKind'];
export type ProductDraft = Schemas['ProductDraft'];
export type AttributeView = Schemas['AttributeView'];
export type ImportReport = Schemas['ImportReport'];
export type ImportedRow = Schemas['ImportedRow'];
export type StockAdjustment = Schemas['StockAdjustment'];
export type AuditRow = Schemas['AuditRow'];
export type PersonExport = Schemas['PersonExport'];
export type StaffView = Schemas['StaffView'];
export type Dispute = Schemas['Dispute'];
export type RefundApproval = Schemas['RefundApproval'];
export type Api = Client<paths>;

export type Result<T> = { ok: true; value: T } | { ok: false; problem: Problem };

export function createApi(caller: {
  traceId: string;
  language: Language;
  accessToken: string | undefined;
  /** The client's IP address; guests' limits are counted by it. */
  clientAddress: string;
  /** The visitor's consistency token, for read-your-writes. */
  seen: Seen;
}): Api {
  const client = createClient<paths>({
    baseUrl: config().apiUrl,
    fetch: send,
    pathSerializer: apiPath,
  });
  client.use({
    onRequest({ request }) {
      request.headers.set('accept-language', caller.language);
      for (const [name, value] of Object.entries(traceHeaders(caller.traceId))) {
        request.headers.set(name, value);
      }
      request.headers.set('cauce-frontend-key', config().frontendKey);
      request.headers.set('cauce-client-address', caller.clientAddress);
      const seen = caller.seen.token();
      if (seen) request.headers.set(TOKEN, seen);
      if (caller.accessToken) {
        request.headers.set('authorization', `Bearer ${caller.accessToken}`);
      }
    },
    onResponse({ request, response }) {
      const seen = response.headers.get(TOKEN);
      if (seen) caller.seen.note(seen);
      if (response.status >= 500) {
        log('WARN', 'api.failed', { path: new URL(request.url).pathname, status: response.status });
      }
    },
  });
  return client;
}

/** The result of a call, with an error as a value: the page decides what it means. */
export async function outcome<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<Result<T>> {
  try {
    const { data, error, response } = await call;
    const isWhole = data !== undefined || response.status === 204;
    if (response.ok && isWhole) return { ok: true, value: data as T };
    const body = typeof error === 'object' && error !== null ? error : undefined;
    return { ok: false, problem: problem(response.status, body) };
  } catch (error) {
    if (error instanceof InvalidPathParameter) {
      return { ok: false, problem: { ...NOT_FOUND, field: error.parameter } };
    }
    log('ERROR', 'api.unreachable', { reason: reason(error) });
    return { ok: false, problem: UNAVAILABLE };
  }
}
