/**
 * Sends a request to the API. `fetch` cannot set the `Host` header, which the API is routed by where
 * it is reached at another address; Node's own client can.
 */
import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long one call may take, its repetitions included. */
const DEADLINE_MS = 10_000;
const ATTEMPTS = 3;
/** The pause before the second attempt is up to this long, before the third up to twice as long. */
const PAUSE_MS = 200;
/** The answers of a gateway that had nobody to ask. */
const TRY_AGAIN = [502, 503, 504];
/** More than any page of the API's. */
const MAX_ANSWER_BYTES = 2 * 1024 * 1024;

const agents = {
  'http:': new http.Agent({ keepAlive: true }),
  'https:': new https.Agent({ keepAlive: true }),
};

/** Every POST carries an idempotency key, so that repeating one is as safe as repeating a GET. */
export async function send(request: Request, host: string | undefined): Promise<Response> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const body = request.body === null ? undefined : await request.text();
  const headers = { ...Object.fromEntries(request.headers), ...(host && { host }) };
  const options = { method: request.method, headers, signal };

  for (let attempt = 1; ; attempt += 1) {
    const last = attempt === ATTEMPTS;
    try {
      const answer = await once(new URL(request.url), options, body);
      if (last || !TRY_AGAIN.includes(answer.status)) return answer;
    } catch (error) {
      if (last || signal.aborted) throw error;
    }
    await sleep(Math.random() * PAUSE_MS * attempt);
  }
}

function once(url: URL, options: http.RequestOptions, body: string | undefined): Promise<Response> {
  const { request } = url.protocol === 'https:' ? https : http;
  const agent = url.protocol === 'https:' ? agents['https:'] : agents['http:'];
  return new Promise((resolve, reject) => {
    const sent = request(url, { ...options, agent }, (answer) => {
      read(answer).then(resolve, reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function read(answer: http.IncomingMessage): Promise<Response> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error('the answer is too large');
    chunks.push(chunk);
  }
  const status = answer.statusCode ?? 0;
  const headers = { 'content-type': answer.headers['content-type'] ?? '' };
  return new Response(Buffer.concat(chunks), { status, headers });
}
