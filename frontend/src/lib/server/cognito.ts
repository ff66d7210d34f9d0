/** Cognito, as far as a shop needs it: who signs up, confirms, signs in and out. */
import {
  CognitoIdentityProviderClient,
  CognitoIdentityProviderServiceException,
  ConfirmSignUpCommand,
  InitiateAuthCommand,
  type AuthenticationResultType,
  ResendConfirmationCodeCommand,
  RevokeTokenCommand,
  SignUpCommand,
} from '@aws-sdk/client-cognito-identity-provider';
import { decodeJwt } from 'jose';

import type { Language } from '$lib/i18n/language';

import { config } from './config';
import { log, reason } from './log';

export type Tokens = {
  accessToken: string;
  refreshToken: string | undefined;
  email: string;
  /** Seconds until the access token lapses. */
  expiresIn: number;
};

/** Why something was not done, most of it for the person to put right. */
export type Refusal =
  | 'wrong-credentials'
  | 'unconfirmed'
  | 'user-exists'
  | 'weak-password'
  | 'wrong-code'
  | 'expired-code'
  | 'invalid'
  | 'too-many-attempts'
  /** Cognito did not answer, or not as it should. */
  | 'unavailable';

export type Answer<T> = { ok: true; value: T } | { ok: false; refusal: Refusal };

const REFUSALS: Record<string, Refusal> = {
  NotAuthorizedException: 'wrong-credentials',
  UserNotFoundException: 'wrong-credentials',
  UserNotConfirmedException: 'unconfirmed',
  UsernameExistsException: 'user-exists',
  InvalidPasswordException: 'weak-password',
  CodeMismatchException: 'wrong-code',
  ExpiredCodeException: 'expired-code',
  InvalidParameterException: 'invalid',
  LimitExceededException: 'too-many-attempts',
  TooManyRequestsException: 'too-many-attempts',
  TooManyFailedAttemptsException: 'too-many-attempts',
};

let client: CognitoIdentityProviderClient | undefined;

function cognito(): CognitoIdentityProviderClient {
  const { cognitoEndpoint, region } = config();
  client ??= new CognitoIdentityProviderClient({
    region,
    ...(cognitoEndpoint && { endpoint: cognitoEndpoint }),
    // These calls are unsigned; without any credentials the client would look for some.
    credentials: { accessKeyId: 'anonymous', secretAccessKey: 'anonymous' },
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 2_000, requestTimeout: 8_000 },
  });
  return client;
}

/** Whether the new account can sign in at once, or first needs the code from the e-mail. */
export function signUp(
  email: string,
  password: string,
  language: Language,
): Promise<Answer<{ confirmed: boolean }>> {
  return answer(async () => {
    const { UserConfirmed } = await cognito().send(
      new SignUpCommand({
        ClientId: config().cognitoClientId,
        Username: email,
        Password: password,
        UserAttributes: [
          { Name: 'email', Value: email },
          { Name: 'locale', Value: language },
        ],
      }),
    );
    return { confirmed: UserConfirmed ?? false };
  });
}

export function confirm(email: string, code: string): Promise<Answer<void>> {
  return answer(async () => {
    const ClientId = config().cognitoClientId;
    const input = { ClientId, Username: email, ConfirmationCode: code };
    await cognito().send(new ConfirmSignUpCommand(input));
  });
}

export function resendCode(email: string): Promise<Answer<void>> {
  return answer(async () => {
    const input = { ClientId: config().cognitoClientId, Username: email };
    await cognito().send(new ResendConfirmationCodeCommand(input));
  });
}

export function signIn(email: string, password: string): Promise<Answer<Tokens>> {
  return answer(async () => {
    const { AuthenticationResult, ChallengeName } = await cognito().send(
      new InitiateAuthCommand({
        ClientId: config().cognitoClientId,
        AuthFlow: 'USER_PASSWORD_AUTH',
        AuthParameters: { USERNAME: email, PASSWORD: password },
      }),
    );
    if (!AuthenticationResult) throw new Error(`Cognito asks for ${ChallengeName}`);
    return tokens(AuthenticationResult);
  });
}

/** New tokens. Refused as wrong credentials if the refresh token is no longer taken. */
export function renew(refreshToken: string): Promise<Answer<Tokens>> {
  return answer(async () => {
    const { AuthenticationResult } = await cognito().send(
      new InitiateAuthCommand({
        ClientId: config().cognitoClientId,
        AuthFlow: 'REFRESH_TOKEN_AUTH',
        AuthParameters: { REFRESH_TOKEN: refreshToken },
      }),
    );
    return tokens(AuthenticationResult ?? {});
  });
}

/** Ends the refresh token and every access token that came of it. */
export async function revoke(refreshToken: string): Promise<void> {
  const input = { ClientId: config().cognitoClientId, Token: refreshToken };
  await cognito().send(new RevokeTokenCommand(input));
}

function tokens(result: AuthenticationResultType): Tokens {
  const { AccessToken, IdToken, RefreshToken, ExpiresIn } = result;
  if (!AccessToken || !IdToken || !ExpiresIn) throw new Error('Cognito sent no tokens');
  // It came from Cognito itself; whoever relies on a token checks its signature.
  const { email } = decodeJwt<{ email?: string }>(IdToken);
  return {
    accessToken: AccessToken,
    refreshToken: RefreshToken,
    email: email ?? '',
    expiresIn: ExpiresIn,
  };
}

async function answer<T>(call: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, value: await call() };
  } catch (error) {
    const refusal =
      error instanceof CognitoIdentityProviderServiceException ? REFUSALS[error.name] : undefined;
    if (refusal) return { ok: false, refusal };
    log('ERROR', 'cognito.failed', { reason: reason(error) });
    return { ok: false, refusal: 'unavailable' };
  }
}
