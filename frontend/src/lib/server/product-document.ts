/** A product's document with its ETag, which a change sends as `If-Match`. */
import { type Api, type ProductDraft, type Result, outcome } from './api';

export type Document = { draft: ProductDraft; tag: string };

export async function readDocument(api: Api, sku: string): Promise<Result<Document>> {
  const call = api.GET('/v1/products/{sku}/document', { params: { path: { sku } } });
  const read = await outcome(call);
  if (!read.ok) return read;
  const { response } = await call;
  return { ok: true, value: { draft: read.value, tag: response.headers.get('etag') ?? '' } };
}
