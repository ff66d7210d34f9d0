/**
 * The session. Its tokens are kept only in the visitor's sealed cookies, so that every instance can
 * serve every visitor. The seal also contains the session's end: a browser that keeps its cookies
 * for longer gains nothing.
 */
import type { Cookies } from '@sveltejs/kit';

import { type Permissions, permissions } from './claims';
import * as cognito from './cognito';
import { forgetGuest } from './guest';
import { type HostCookie, hostCookie } from './host-cookie';
import { log, reason } from './log';
import type { Purpose } from './seal';
import { sealed } from './sealed';
import {
  type Times,
  isNoteworthy,
  secondsAtMost,
  secondsIdle,
  secondsLeft,
} from './session-lifetime';

export type Session = { accessToken: string; email: string } & Permissions;

/** The content of the refresh cookie. */
type Kept = cognito.Renewal & Times;

/** Whether a request comes from the person, or from a page that polls. */
export type Cause = 'person' | 'page';

const ACCESS = hostCookie('access');
/** The refresh token, and the session's times when it was issued. Only written with a new token. */
const REFRESH = hostCookie('refresh');
/**
 * The last activity. Separate from the refresh token: of two concurrent requests, one may exchange
 * the token, and the other must not restore the old one.
 */
const ACTIVITY = hostCookie('activity');
/** A token that expires sooner than this is renewed before it is used. */
const RENEW_BEFORE_SECONDS = 60;
/** Browsers may drop a cookie that is larger, its name and attributes included. */
const MAX_COOKIE_BYTES = 4096;

/** Begins a session. A guest's order is forgotten: it may be another person's. */
export async function begin(cookies: Cookies, tokens: cognito.Tokens): Promise<Session> {
  if (!tokens.refreshToken) throw new Error('Cognito sent no refresh token');
  forgetGuest(cookies);
  const { refreshToken, secondFactor } = tokens;
  const now = nowInSeconds();
  return keep(cookies, tokens, { refreshToken, secondFactor, begunAt: now, activeAt: now });
}

/** The session of a request. An access token that is about to expire is renewed. */
export async function current(
  cookies: Cookies,
  cause: Cause = 'person',
): Promise<Session | undefined> {
  const kept = await keptOf(cookies);
  if (!kept) {
    forget(cookies);
    return undefined;
  }
  const access = await open(cookies, ACCESS, 'access');
  if (typeof access?.accessToken !== 'string' || typeof access.email !== 'string') {
    return exchange(cookies, kept, cause);
  }
  const session = sessionOf(access.accessToken, access.email);
  if (cause === 'person' && isNoteworthy(kept, nowInSeconds())) {
    await keepActivity(cookies, kept, session.roles);
  }
  return session;
}

/** The session with new tokens, which contain the person's current claims. */
export async function renewed(cookies: Cookies): Promise<Session | undefined> {
  const kept = await keptOf(cookies);
  return kept && exchange(cookies, kept, 'person');
}

/** Ends the session here, and at Cognito if it answers. */
export async function end(cookies: Cookies): Promise<void> {
  const kept = await keptOf(cookies);
  forget(cookies);
  forgetGuest(cookies);
  if (kept) await revoke(kept.refreshToken);
}

/** Ends a session at Cognito that is in no browser. */
export async function revoke(refreshToken: string | undefined): Promise<void> {
  if (!refreshToken) return;
  try {
    await cognito.revoke(refreshToken);
  } catch (error) {
    log('WARN', 'session.not_revoked', { reason: reason(error) });
  }
}

/** Ends this session and all others of the person. */
export async function endEverywhere(cookies: Cookies, accessToken: string) {
  const ended = await cognito.signOutEverywhere(accessToken);
  if (!ended.ok) return ended;
  forget(cookies);
  forgetGuest(cookies);
  return ended;
}

async function exchange(cookies: Cookies, kept: Kept, cause: Cause): Promise<Session | undefined> {
  const tokens = await cognito.renew(kept);
  if (tokens.ok) {
    const { refreshToken = kept.refreshToken } = tokens.value;
    const activeAt = cause === 'person' ? nowInSeconds() : kept.activeAt;
    return keep(cookies, tokens.value, { ...kept, refreshToken, activeAt });
  }
  // While Cognito is unavailable the person is treated as a guest; the session resumes once it is
  // back.
  const passing = tokens.refusal === 'unavailable' || tokens.refusal === 'too-many-attempts';
  if (!passing) forget(cookies);
  return undefined;
}

async function keep(cookies: Cookies, tokens: cognito.Tokens, kept: Kept): Promise<Session> {
  const { accessToken, email, expiresIn } = tokens;
  const session = sessionOf(accessToken, email);
  await keepRenewal(cookies, kept, session.roles);
  const left = secondsLeft(kept, session.roles, nowInSeconds());
  const seconds = Math.min(expiresIn - RENEW_BEFORE_SECONDS, left);
  set(cookies, ACCESS, await sealed().close('access', { accessToken, email }, seconds), seconds);
  return session;
}

/** Seals the refresh token for as long as the session can last. */
async function keepRenewal(cookies: Cookies, kept: Kept, roles: readonly string[]): Promise<void> {
  const seconds = secondsAtMost(kept, roles, nowInSeconds());
  const content = { ...kept, idle: secondsIdle(roles) };
  set(cookies, REFRESH, await sealed().close('refresh', content, seconds), seconds);
}

/** Records activity now. */
async function keepActivity(
  cookies: Cookies,
  { begunAt }: Kept,
  roles: readonly string[],
): Promise<void> {
  const times = { begunAt, activeAt: nowInSeconds() };
  const seconds = secondsLeft(times, roles, times.activeAt);
  set(cookies, ACTIVITY, await sealed().close('activity', times, seconds), seconds);
}

function sessionOf(accessToken: string, email: string): Session {
  return { accessToken, email, ...permissions(accessToken) };
}

/** The content of the request's refresh cookie, unless the session has ended. */
async function keptOf(cookies: Cookies): Promise<Kept | undefined> {
  const { refreshToken, secondFactor, begunAt, activeAt, idle } =
    (await open(cookies, REFRESH, 'refresh')) ?? {};
  const isWhole =
    typeof refreshToken === 'string' &&
    typeof secondFactor === 'boolean' &&
    typeof begunAt === 'number' &&
    typeof activeAt === 'number';
  if (!isWhole) return undefined;
  const lastActiveAt = Math.max(activeAt, await notedActivity(cookies, begunAt));
  // The version before had the seal end it.
  const isIdle = typeof idle === 'number' && nowInSeconds() >= lastActiveAt + idle;
  return isIdle ? undefined : { refreshToken, secondFactor, begunAt, activeAt: lastActiveAt };
}

/** The last recorded activity of the session that began then; 0 if there is none. */
async function notedActivity(cookies: Cookies, begunAt: number): Promise<number> {
  const noted = await open(cookies, ACTIVITY, 'activity');
  return noted?.begunAt === begunAt && typeof noted.activeAt === 'number' ? noted.activeAt : 0;
}

async function open(cookies: Cookies, cookie: HostCookie, purpose: Purpose) {
  const value = cookie.read(cookies);
  return value ? sealed().open(purpose, value) : undefined;
}

function set(cookies: Cookies, cookie: HostCookie, value: string, seconds: number): void {
  const { name } = cookie;
  const bytes = name.length + value.length + 100;
  if (bytes > MAX_COOKIE_BYTES) log('ERROR', 'session.cookie_too_large', { name, bytes });
  cookie.write(cookies, value, seconds);
}

function forget(cookies: Cookies): void {
  ACCESS.drop(cookies);
  REFRESH.drop(cookies);
  ACTIVITY.drop(cookies);
}

function nowInSeconds(): number {
  return Date.now() / 1_000;
}
