/** A browser without JavaScript: it keeps cookies, opens pages and sends their forms. */
import type { Answer, Site } from './site';

export type Page = { path: string; status: number; text: string };

export class Browser {
  constructor(
    private readonly site: Site,
    private readonly cookies = new Map<string, string>(),
  ) {}

  async signsIn(...scopes: string[]): Promise<void> {
    const { cookie } = await this.site.signedIn(...scopes);
    for (const part of cookie.split('; ')) this.keep(part);
  }

  signsOut(): void {
    this.cookies.delete('__Host-cauce_access');
    this.cookies.delete('__Host-cauce_refresh');
  }

  cookie(name: string): string | undefined {
    return this.cookies.get(`__Host-cauce_${name}`);
  }

  holds(name: string, value: string): void {
    this.cookies.set(`__Host-cauce_${name}`, value);
  }

  /** Another browser with a copy of the cookies. */
  copy(): Browser {
    return new Browser(this.site, new Map(this.cookies));
  }

  async opens(path: string, headers: Record<string, string> = {}): Promise<Page> {
    const answer = await this.site.ask(path, { headers: { ...this.headers(), ...headers } });
    return this.follow(path, answer, headers);
  }

  /** Loads a page without showing it. */
  async prefetches(path: string): Promise<void> {
    await this.opens(path, { 'sec-purpose': 'prefetch' });
  }

  /** Loads a page's data as SvelteKit's script does when the pointer is over a link. */
  async preloads(path: string): Promise<void> {
    this.keepAll(await this.site.ask(`${path}/__data.json`, { headers: this.headers() }));
  }

  /** Sends a page's form to `action`. The typed values replace those of the page. */
  async sends(page: Page, action: string, typed: Record<string, string> = {}): Promise<Page> {
    const { path, answer } = await this.send(page, action, typed);
    return this.follow(path, answer);
  }

  /** Like `sends`, but the connection is dropped before the last response. */
  async sendsUnanswered(page: Page, action: string, typed: Record<string, string>): Promise<void> {
    await this.send(page, action, typed);
  }

  /** Like `sends`, but the page of the last redirect is not opened. */
  async sendsAndLeaves(page: Page, action: string, typed: Record<string, string>): Promise<void> {
    const { answer } = await this.send(page, action, typed);
    this.keepAll(answer);
  }

  /** Sends the form, and sends it again to the location of a 307. */
  private async send(page: Page, action: string, typed: Record<string, string>) {
    const body = new URLSearchParams({ ...hidden(page), ...typed }).toString();
    const post = (path: string) => this.site.post(path, body, this.headers());
    const first = await post(action);
    if (first.status !== 307) return { path: action, answer: first };
    this.keepAll(first);
    const path = String(first.headers.location);
    return { path, answer: await post(path) };
  }

  private async follow(
    path: string,
    answer: Answer,
    sent: Record<string, string> = {},
  ): Promise<Page> {
    this.keepAll(answer);
    const { status, text, headers } = answer;
    if (status === 303) return this.opens(String(headers.location), sent);
    return { path, status, text };
  }

  private headers(): Record<string, string> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    return { accept: 'text/html', cookie };
  }

  private keepAll({ headers }: Answer): void {
    for (const cookie of headers['set-cookie'] ?? []) this.keep(cookie);
  }

  private keep(cookie: string): void {
    const [pair = '', ...attributes] = cookie.split('; ');
    const [name = '', value = ''] = [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)];
    if (attributes.some((it) => /^max-age=0$/i.test(it))) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}

/** The hidden fields of a page's forms. */
export function hidden({ text }: Pick<Page, 'text'>): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [input] of text.matchAll(/<input type="hidden"[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(input)?.[1];
    if (name) fields[name] ??= /value="([^"]*)"/.exec(input)?.[1] ?? '';
  }
  return fields;
}
