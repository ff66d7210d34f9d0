/** Reads a form's body within the limits of its rule. */
import type { BodyRule } from './route-rules';

/** The largest form has about twenty fields. */
const MAX_FIELDS = 64;

/** The status that a body is refused with. */
export type BodyRefusal = 408 | 413 | 415;

/** The request with its whole body in memory, or why it is refused. */
export async function readBody(request: Request, rule: BodyRule): Promise<Request | BodyRefusal> {
  const contentType = request.headers.get('content-type') ?? '';
  if (mediaType(contentType) !== rule.contentType) return 415;
  if (Number(request.headers.get('content-length')) > rule.maxBytes) return 413;
  const body = await readAtMost(request, rule);
  if (!(body instanceof Uint8Array)) return body;
  if (hasTooMuch(body, contentType, rule)) return 413;
  const { headers, method, signal, url } = request;
  return new Request(url, { method, headers, signal, body });
}

async function readAtMost(
  request: Request,
  { maxBytes, deadlineMs }: BodyRule,
): Promise<Uint8Array<ArrayBuffer> | BodyRefusal> {
  if (!request.body) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, 'late');
  });
  try {
    for (;;) {
      const read = await Promise.race([reader.read(), late]);
      if (read === 'late') return 408;
      if (read.done) return joined(chunks, size);
      size += read.value.length;
      if (size > maxBytes) return 413;
      chunks.push(read.value);
    }
  } catch {
    // The browser has closed the connection: nothing receives the response.
    return 408;
  } finally {
    clearTimeout(timer);
  }
}

function joined(chunks: Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

/** Whether there are more or longer fields than the forms of this site have. */
function hasTooMuch(body: Uint8Array, contentType: string, rule: BodyRule): boolean {
  const separator = separatorOf(contentType, rule);
  if (separator === undefined) return false;
  const bytes = Buffer.from(body.buffer);
  let from = 0;
  for (let fields = 0; fields < MAX_FIELDS; fields += 1) {
    const end = bytes.indexOf(separator, from);
    if ((end < 0 ? bytes.length : end) - from > rule.maxFieldBytes) return true;
    if (end < 0) return false;
    from = end + separator.length;
  }
  return true;
}

/** The separator of the fields, for a body that has fields. */
function separatorOf(contentType: string, rule: BodyRule): string | undefined {
  switch (rule.contentType) {
    case 'application/x-www-form-urlencoded':
      return '&';
    case 'multipart/form-data':
      return /boundary="?([^";]+)"?/i.exec(contentType)?.[1] ?? '--';
    case 'text/csv':
      return undefined;
  }
}

function mediaType(contentType: string): string {
  return (contentType.split(';')[0] ?? '').trim().toLowerCase();
}
