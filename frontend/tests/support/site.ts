/** Runs the built server in its own process, with a stub of the API. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, type Server, createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

import { createSeal } from '../../src/lib/server/seal';

export const SECRET = 'a secret of more than thirty-two characters';

export type Answer = { status: number; headers: IncomingMessage['headers']; text: string };

/** A request to the stub of the API. */
export type Asked = {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
};
/** The response of the stub. Without `json` it has no body. */
export type Reply = { status: number; json?: unknown };

export function problem(status: number, kind: string, field?: string): Reply {
  return { status, json: { type: `https://cauce.example/problems/${kind}`, field } };
}

type Sent = {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
};

export class Site {
  /** The requests to the API in order, each with its method and path. */
  readonly asked: string[] = [];
  /** The API's responses by path. Other paths are 404. */
  answers: Record<string, unknown> = {};
  /** Replaces `answers` if it is set. */
  shop: ((asked: Asked) => Reply) | undefined;

  private constructor(
    private readonly api: Server,
    private readonly process: ChildProcess,
    readonly port: number,
  ) {}

  static async start(env: Record<string, string> = {}): Promise<Site> {
    const api = createServer();
    api.listen(0, '127.0.0.1');
    await once(api, 'listening');
    const port = await freePort();
    const address = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    const child = spawn(process.execPath, ['server.js'], {
      env: {
        PATH: process.env.PATH,
        HOST: '127.0.0.1',
        PORT: String(port),
        ORIGIN: `http://127.0.0.1:${port}`,
        BODY_SIZE_LIMIT: '9M',
        API_URL: address,
        AWS_REGION: 'eu-west-1',
        COGNITO_ENDPOINT: address,
        COGNITO_CLIENT_ID: 'client',
        COGNITO_CLIENT_SECRET: 'client-secret',
        FRONTEND_KEY: 'frontend',
        SESSION_SECRET: SECRET,
        REQUESTS_PER_SECOND: '1000',
        REQUEST_BURST: '1000',
        SECURITY_CONTACT: 'mailto:security@example.com',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.stdout.resume();
    const site = new Site(api, child, port);
    api.on('request', (asked, answer) => {
      const path = String(asked.url);
      site.asked.push(`${asked.method} ${path}`);
      const chunks: Buffer[] = [];
      asked.on('data', (chunk) => chunks.push(chunk));
      asked.on('end', () => {
        const { method = '', headers } = asked;
        const body = Buffer.concat(chunks).toString();
        const { status, json } = site.shop?.({ method, path, headers, body }) ?? site.known(path);
        answer.writeHead(status, json !== undefined ? { 'content-type': 'application/json' } : {});
        answer.end(json !== undefined ? JSON.stringify(json) : undefined);
      });
    });
    return site;
  }

  private known(path: string): Reply {
    const found = this.answers[path.split('?')[0] ?? ''];
    return found ? { status: 200, json: found } : problem(404, 'not-found');
  }

  async stop(): Promise<void> {
    this.process.kill();
    await once(this.process, 'exit');
    this.api.close();
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Requests a path as it is, without a URL parser in between. */
  ask(path: string, { method = 'GET', headers = {}, body }: Sent = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: this.port, path, method, headers });
      sent.on('error', reject);
      sent.on('response', (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('end', () => {
          const { statusCode = 0, headers } = answer;
          resolve({ status: statusCode, headers, text: Buffer.concat(chunks).toString() });
        });
        answer.on('error', reject);
      });
      sent.end(body);
    });
  }

  /** Sends a form as a page of the shop does. */
  post(path: string, body: string | Buffer = '', headers: Record<string, string> = {}) {
    return this.ask(path, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: this.origin,
        accept: 'text/html',
        ...headers,
      },
    });
  }

  /** Opens a connection and sends the text. Resolves with the response when it is closed. */
  raw(text: string, keepSending?: () => string): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1');
      let answer = '';
      socket.write(text);
      const timer = keepSending && setInterval(() => socket.write(keepSending()), 50);
      socket.on('data', (data) => (answer += data.toString()));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearInterval(timer);
        resolve(answer);
      });
    });
  }

  /** The headers of a browser whose user is signed in with these scopes. */
  async signedIn(...scopes: string[]): Promise<{ cookie: string }> {
    const claims = { sub: 'a-person', scope: ['orders:read', ...scopes].join(' ') };
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const accessToken = `${part({ alg: 'none' })}.${part(claims)}.x`;
    const seal = createSeal(SECRET);
    const access = await seal.close('access', { accessToken, email: 'ana@example.com' }, 600);
    const now = Date.now() / 1_000;
    const kept = { refreshToken: 'x', secondFactor: false, begunAt: now, activeAt: now };
    const refresh = await seal.close('refresh', kept, 600);
    return { cookie: `__Host-cauce_access=${access}; __Host-cauce_refresh=${refresh}` };
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
