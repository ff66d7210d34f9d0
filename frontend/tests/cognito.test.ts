import { createHmac } from 'node:crypto';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import * as cognito from '../src/lib/server/cognito';

const SECRET = 'the secret of the app client';

const settings = vi.hoisted(() => ({
  cognitoEndpoint: '',
  cognitoClientId: 'client',
  cognitoClientSecret: 'the secret of the app client',
  region: 'eu-south-2',
}));
vi.mock('../src/lib/server/config', () => ({ config: () => settings }));
vi.mock('../src/lib/server/log', () => ({ log: vi.fn(), reason: String }));

type Call = { operation: string; input: Record<string, never> & Record<string, unknown> };
type Reply = { status: number; body: unknown };

const calls: Call[] = [];
let replies: Record<string, Reply> = {};
let server: Server;

/** A server in the place of Cognito, which sends `replies` and records `calls`. */
beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
      calls.push({ operation, input: JSON.parse(body) as Call['input'] });
      const { status, body: answer } = replies[operation] ?? { status: 200, body: {} };
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  settings.cognitoEndpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());
beforeEach(() => {
  calls.length = 0;
  replies = {};
});

function hashOf(username: string): string {
  return createHmac('sha256', SECRET).update(`${username}client`).digest('base64');
}

function jwt(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.x`;
}

const TOKENS = {
  AuthenticationResult: {
    AccessToken: jwt({ sub: 'ana' }),
    IdToken: jwt({ email: 'ana@example.com' }),
    RefreshToken: 'refresh',
    ExpiresIn: 900,
  },
};
const CHALLENGE = {
  ChallengeName: 'SOFTWARE_TOKEN_MFA',
  Session: 'session',
  ChallengeParameters: { USER_ID_FOR_SRP: 'ana-id' },
};
const refusal = (name: string) => ({ status: 400, body: { __type: name } });

it('every call that names a user has the secret hash of the app client', async () => {
  const email = 'ana@example.com';
  await cognito.signUp(email, 'password', 'en');
  await cognito.confirm(email, '123456');
  await cognito.resendCode(email);
  await cognito.forgotPassword(email);
  await cognito.resetPassword(email, '123456', 'password');
  expect(calls.map(({ operation }) => operation)).toEqual([
    'SignUp',
    'ConfirmSignUp',
    'ResendConfirmationCode',
    'ForgotPassword',
    'ConfirmForgotPassword',
  ]);
  for (const { input } of calls) expect(input.SecretHash).toBe(hashOf(email));
});

describe('a sign-in', () => {
  it('by password sends no second factor, nor do its renewals', async () => {
    replies = {
      InitiateAuth: { status: 200, body: TOKENS },
      GetTokensFromRefreshToken: { status: 200, body: TOKENS },
    };
    const signedIn = await cognito.signIn('ana@example.com', 'password');
    expect(signedIn).toMatchObject({ ok: true, value: { tokens: { secondFactor: false } } });
    await cognito.renew({ refreshToken: 'refresh', secondFactor: false });
    const [begun, renewal] = calls.map(({ input }) => input);
    expect(begun?.AuthParameters).toMatchObject({ SECRET_HASH: hashOf('ana@example.com') });
    expect(renewal).toMatchObject({ ClientSecret: SECRET, RefreshToken: 'refresh' });
    expect(renewal).not.toHaveProperty('ClientMetadata');
  });

  it('with a code sends the second factor, and so does each renewal', async () => {
    replies = {
      RespondToAuthChallenge: { status: 200, body: TOKENS },
      GetTokensFromRefreshToken: { status: 200, body: TOKENS },
    };
    const challenge = { username: 'ana-id', session: 'session' };
    const signedIn = await cognito.answerChallenge(challenge, '123456');
    expect(signedIn).toMatchObject({ ok: true, value: { secondFactor: true } });
    await cognito.renew({ refreshToken: 'refresh', secondFactor: true });
    const mark = { second_factor: 'totp' };
    expect(calls.map(({ input }) => input.ClientMetadata)).toEqual([mark, mark]);
    expect(calls[0]?.input.ChallengeResponses).toMatchObject({ SECRET_HASH: hashOf('ana-id') });
  });
});

describe('a reauthentication', () => {
  it('needs the code, too, if the account has a second factor', async () => {
    replies = {
      InitiateAuth: { status: 200, body: CHALLENGE },
      RespondToAuthChallenge: { status: 200, body: TOKENS },
    };
    expect(await cognito.reauthenticate('ana-id', 'password', '')).toEqual({
      ok: false,
      refusal: 'code-needed',
    });
    expect(calls.map(({ operation }) => operation)).toEqual(['InitiateAuth']);
    expect(await cognito.reauthenticate('ana-id', 'password', '123456')).toMatchObject({
      ok: true,
      value: { secondFactor: true },
    });
  });

  it('refuses a wrong password', async () => {
    replies = { InitiateAuth: refusal('NotAuthorizedException') };
    expect(await cognito.reauthenticate('ana-id', 'password', '123456')).toEqual({
      ok: false,
      refusal: 'wrong-credentials',
    });
  });
});

it('a change of the address sends a message to the present one', async () => {
  await cognito.warnOfAddressChange('ana@example.com');
  expect(calls.map(({ operation }) => operation)).toEqual(['ForgotPassword']);
  expect(calls[0]?.input.Username).toBe('ana@example.com');
  expect(calls[0]?.input.ClientMetadata).toEqual({ occasion: 'address-change' });
});

describe('a sign-up with the address of an account', () => {
  it('sends the code again if the account is not confirmed', async () => {
    await cognito.remindOfAccount('ana@example.com');
    expect(calls.map(({ operation }) => operation)).toEqual(['ResendConfirmationCode']);
  });

  it('sends a message about the account if it is confirmed', async () => {
    replies = { ResendConfirmationCode: refusal('InvalidParameterException') };
    await cognito.remindOfAccount('ana@example.com');
    expect(calls.map(({ operation }) => operation)).toEqual([
      'ResendConfirmationCode',
      'ForgotPassword',
    ]);
    expect(calls[1]?.input.ClientMetadata).toEqual({ occasion: 'sign-up' });
  });
});
