/**
 * Who is signed in. The tokens live in the visitor's own sealed cookies and nowhere else, so that
 * every instance can serve every visitor.
 */
import type { Cookies } from '@sveltejs/kit';

import { type Permissions, permissions } from './claims';
import * as cognito from './cognito';
import { log, reason } from './log';
import { sealed } from './sealed';

export type Session = { accessToken: string; email: string } & Permissions;

const ACCESS = 'cauce_access';
const REFRESH = 'cauce_refresh';
/** As long as Cognito takes the refresh token. */
const REFRESH_SECONDS = 30 * 24 * 60 * 60;
/** A token that has less than this to live is exchanged before it is used. */
const RENEW_BEFORE_SECONDS = 60;
/** Browsers may drop a cookie that is larger, its name and attributes included. */
const MAX_COOKIE_BYTES = 4096;

const OPTIONS = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const;

export async function begin(cookies: Cookies, tokens: cognito.Tokens): Promise<Session> {
  const { accessToken, refreshToken, email, expiresIn } = tokens;
  const content = { accessToken, email };
  const access = await sealed().close('access', content, expiresIn - RENEW_BEFORE_SECONDS);
  set(cookies, ACCESS, access, expiresIn);
  if (refreshToken) {
    const refresh = await sealed().close('refresh', { refreshToken }, REFRESH_SECONDS);
    set(cookies, REFRESH, refresh, REFRESH_SECONDS);
  }
  return sessionOf(accessToken, email);
}

/** The session of a request, with its access token renewed where it is about to lapse. */
export async function current(cookies: Cookies): Promise<Session | undefined> {
  const session = await open(cookies, ACCESS, 'access');
  if (typeof session?.accessToken === 'string' && typeof session.email === 'string') {
    return sessionOf(session.accessToken, session.email);
  }
  return renewed(cookies);
}

/** The session with new tokens, which tell what has changed about the person. */
export async function renewed(cookies: Cookies): Promise<Session | undefined> {
  const refreshToken = await refreshTokenOf(cookies);
  if (!refreshToken) {
    forget(cookies);
    return undefined;
  }
  const tokens = await cognito.renew(refreshToken);
  if (tokens.ok) return begin(cookies, tokens.value);
  // While Cognito is out of reach the person is a guest, and is signed in again once it is back.
  const passing = tokens.refusal === 'unavailable' || tokens.refusal === 'too-many-attempts';
  if (!passing) forget(cookies);
  return undefined;
}

/** Signs out here at once, and at Cognito as well as it can be done. */
export async function end(cookies: Cookies): Promise<void> {
  const refreshToken = await refreshTokenOf(cookies);
  forget(cookies);
  if (!refreshToken) return;
  try {
    await cognito.revoke(refreshToken);
  } catch (error) {
    log('WARN', 'session.not_revoked', { reason: reason(error) });
  }
}

/** Signs out here and wherever else the person is signed in. */
export async function endEverywhere(cookies: Cookies, session: Session) {
  const ended = await cognito.signOutEverywhere(session.accessToken);
  if (ended.ok) forget(cookies);
  return ended;
}

function sessionOf(accessToken: string, email: string): Session {
  return { accessToken, email, ...permissions(accessToken) };
}

async function refreshTokenOf(cookies: Cookies): Promise<string | undefined> {
  const content = await open(cookies, REFRESH, 'refresh');
  return typeof content?.refreshToken === 'string' ? content.refreshToken : undefined;
}

async function open(cookies: Cookies, name: string, purpose: 'access' | 'refresh') {
  const value = cookies.get(name);
  return value ? sealed().open(purpose, value) : undefined;
}

function set(cookies: Cookies, name: string, value: string, maxAge: number): void {
  const bytes = name.length + value.length + 100;
  if (bytes > MAX_COOKIE_BYTES) log('ERROR', 'session.cookie_too_large', { name, bytes });
  cookies.set(name, value, { ...OPTIONS, maxAge });
}

function forget(cookies: Cookies): void {
  for (const name of [ACCESS, REFRESH]) {
    if (cookies.get(name) !== undefined) cookies.delete(name, OPTIONS);
  }
}
