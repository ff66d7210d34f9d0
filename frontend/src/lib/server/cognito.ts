/** Cognito's client: sign-up, sign-in, sessions, and a person's changes to their own account. */
import { createHmac } from 'node:crypto';

import {
  AssociateSoftwareTokenCommand,
  type AuthenticationResultType,
  ChangePasswordCommand,
  CognitoIdentityProviderClient,
  CognitoIdentityProviderServiceException,
  ConfirmForgotPasswordCommand,
  ConfirmSignUpCommand,
  ForgotPasswordCommand,
  GetTokensFromRefreshTokenCommand,
  GetUserCommand,
  GlobalSignOutCommand,
  InitiateAuthCommand,
  ResendConfirmationCodeCommand,
  RespondToAuthChallengeCommand,
  RevokeTokenCommand,
  SetUserMFAPreferenceCommand,
  SignUpCommand,
  UpdateUserAttributesCommand,
  VerifySoftwareTokenCommand,
  VerifyUserAttributeCommand,
} from '@aws-sdk/client-cognito-identity-provider';
import { decodeJwt } from 'jose';

import type { Language } from '$lib/i18n/language';

import { config } from './config';
import { log, reason } from './log';

export type Tokens = {
  accessToken: string;
  refreshToken: string | undefined;
  email: string;
  /** Seconds until the access token expires. */
  expiresIn: number;
  /** Whether the session was begun with an authenticator's code. */
  secondFactor: boolean;
};

/** A session's refresh token, and how the session was begun. */
export type Renewal = { refreshToken: string; secondFactor: boolean };

/** What Cognito needs to complete a sign-in that requires a second factor. */
export type Challenge = { username: string; session: string };

export type SignedIn = { tokens: Tokens } | { challenge: Challenge };

/** Why a request was refused; most reasons are for the person to correct. */
export type Refusal =
  | 'wrong-credentials'
  | 'unconfirmed'
  | 'user-exists'
  | 'weak-password'
  /** The account requires an authenticator's code, and none was sent. */
  | 'code-needed'
  | 'wrong-code'
  | 'expired-code'
  | 'invalid'
  | 'too-many-attempts'
  /** Cognito did not answer, or not as expected. */
  | 'unavailable';

export type Answer<T> = { ok: true; value: T } | { ok: false; refusal: Refusal };

const REFUSALS: Record<string, Refusal> = {
  NotAuthorizedException: 'wrong-credentials',
  UserNotFoundException: 'wrong-credentials',
  UserNotConfirmedException: 'unconfirmed',
  UsernameExistsException: 'user-exists',
  AliasExistsException: 'user-exists',
  InvalidPasswordException: 'weak-password',
  CodeMismatchException: 'wrong-code',
  EnableSoftwareTokenMFAException: 'wrong-code',
  ExpiredCodeException: 'expired-code',
  InvalidParameterException: 'invalid',
  LimitExceededException: 'too-many-attempts',
  TooManyRequestsException: 'too-many-attempts',
  TooManyFailedAttemptsException: 'too-many-attempts',
};

/**
 * Tells the trigger in functions/auth-hooks that a session began with a code. Cognito passes it on
 * from a challenge response and from a renewal, but not from a sign-in by password.
 */
const BEGUN_WITH_CODE = { second_factor: 'totp' };

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

/** The parameters of the calls that name a user: the app client, and its secret hash. */
function app(username: string) {
  const { cognitoClientId: ClientId } = config();
  return { ClientId, Username: username, SecretHash: secretHash(username) };
}

/** As Cognito defines it: base64 of HMAC-SHA256 over the user name and the client's id. */
function secretHash(username: string): string {
  const { cognitoClientId, cognitoClientSecret } = config();
  return createHmac('sha256', cognitoClientSecret)
    .update(username + cognitoClientId)
    .digest('base64');
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
        ...app(email),
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
    await cognito().send(new ConfirmSignUpCommand({ ...app(email), ConfirmationCode: code }));
  });
}

export function resendCode(email: string): Promise<Answer<void>> {
  return answer(async () => {
    await cognito().send(new ResendConfirmationCodeCommand(app(email)));
  });
}

export function signIn(email: string, password: string): Promise<Answer<SignedIn>> {
  return answer(async () => {
    const { AuthenticationResult, ChallengeName, ChallengeParameters, Session } =
      await cognito().send(
        new InitiateAuthCommand({
          ClientId: config().cognitoClientId,
          AuthFlow: 'USER_PASSWORD_AUTH',
          AuthParameters: {
            USERNAME: email,
            PASSWORD: password,
            SECRET_HASH: secretHash(email),
          },
        }),
      );
    if (AuthenticationResult) return { tokens: tokens(AuthenticationResult, false) };
    if (ChallengeName !== 'SOFTWARE_TOKEN_MFA' || !Session) {
      throw new Error(`Cognito asks for ${ChallengeName}`);
    }
    const username = ChallengeParameters?.USER_ID_FOR_SRP ?? email;
    return { challenge: { username, session: Session } };
  });
}

/**
 * Completes a sign-in with the authenticator's code. `wrong-credentials` means that the challenge
 * has expired.
 */
export function answerChallenge(
  { username, session }: Challenge,
  code: string,
): Promise<Answer<Tokens>> {
  return answer(async () => {
    const { AuthenticationResult } = await cognito().send(
      new RespondToAuthChallengeCommand({
        ClientId: config().cognitoClientId,
        ChallengeName: 'SOFTWARE_TOKEN_MFA',
        Session: session,
        ChallengeResponses: {
          USERNAME: username,
          SOFTWARE_TOKEN_MFA_CODE: code,
          SECRET_HASH: secretHash(username),
        },
        ClientMetadata: BEGUN_WITH_CODE,
      }),
    );
    return tokens(AuthenticationResult ?? {}, true);
  });
}

/** Signs in with the password and, if the account requires it, the code. */
export async function reauthenticate(
  email: string,
  password: string,
  code: string,
): Promise<Answer<Tokens>> {
  const signedIn = await signIn(email, password);
  if (!signedIn.ok) return signedIn;
  if ('tokens' in signedIn.value) return { ok: true, value: signedIn.value.tokens };
  if (!code) return { ok: false, refusal: 'code-needed' };
  return answerChallenge(signedIn.value.challenge, code);
}

/**
 * Exchanges the refresh token for new tokens; with rotation, also a new refresh token.
 * `wrong-credentials` means that the refresh token is no longer valid.
 */
export function renew({ refreshToken, secondFactor }: Renewal): Promise<Answer<Tokens>> {
  return answer(async () => {
    const { AuthenticationResult } = await cognito().send(
      new GetTokensFromRefreshTokenCommand({
        ClientId: config().cognitoClientId,
        ClientSecret: config().cognitoClientSecret,
        RefreshToken: refreshToken,
        ...(secondFactor && { ClientMetadata: BEGUN_WITH_CODE }),
      }),
    );
    return tokens(AuthenticationResult ?? {}, secondFactor);
  });
}

/** Revokes the refresh token and the access tokens issued from it. */
export async function revoke(refreshToken: string): Promise<void> {
  const { cognitoClientId: ClientId, cognitoClientSecret: ClientSecret } = config();
  await cognito().send(new RevokeTokenCommand({ ClientId, ClientSecret, Token: refreshToken }));
}

/** Revokes all refresh tokens of the person. A session ends once its access token expires. */
export function signOutEverywhere(accessToken: string): Promise<Answer<void>> {
  return answer(async () => {
    await cognito().send(new GlobalSignOutCommand({ AccessToken: accessToken }));
  });
}

/** Sends a code for choosing a new password, if there is such an account. */
export function forgotPassword(email: string): Promise<Answer<void>> {
  return answer(async () => {
    await cognito().send(new ForgotPasswordCommand(app(email)));
  });
}

/**
 * Writes to the owner of an address that was used to sign up again: a new confirmation code if the
 * account is not confirmed, else a notice that there is an account, with a code for a new password.
 */
export async function remindOfAccount(email: string): Promise<Answer<void>> {
  const resent = await resendCode(email);
  if (resent.ok || resent.refusal !== 'invalid') return resent;
  return answer(async () => {
    const ClientMetadata = { occasion: 'sign-up' };
    await cognito().send(new ForgotPasswordCommand({ ...app(email), ClientMetadata }));
  });
}

/**
 * Writes to the current address that it is about to change, with a code for a new password:
 * Cognito's other messages go to the new address only.
 */
export function warnOfAddressChange(email: string): Promise<Answer<void>> {
  return answer(async () => {
    const ClientMetadata = { occasion: 'address-change' };
    await cognito().send(new ForgotPasswordCommand({ ...app(email), ClientMetadata }));
  });
}

export function resetPassword(
  email: string,
  code: string,
  password: string,
): Promise<Answer<void>> {
  return answer(async () => {
    await cognito().send(
      new ConfirmForgotPasswordCommand({
        ...app(email),
        ConfirmationCode: code,
        Password: password,
      }),
    );
  });
}

/** `wrong-credentials` means that the current password is wrong. */
export function changePassword(
  accessToken: string,
  present: string,
  wanted: string,
): Promise<Answer<void>> {
  return answer(async () => {
    await cognito().send(
      new ChangePasswordCommand({
        AccessToken: accessToken,
        PreviousPassword: present,
        ProposedPassword: wanted,
      }),
    );
  });
}

/** Requests a new address. It takes effect once the code that is sent to it is verified. */
export function changeEmail(
  accessToken: string,
  email: string,
): Promise<Answer<{ codeSent: boolean }>> {
  return answer(async () => {
    const { CodeDeliveryDetailsList } = await cognito().send(
      new UpdateUserAttributesCommand({
        AccessToken: accessToken,
        UserAttributes: [{ Name: 'email', Value: email }],
      }),
    );
    return { codeSent: (CodeDeliveryDetailsList ?? []).length > 0 };
  });
}

export function verifyEmail(accessToken: string, code: string): Promise<Answer<void>> {
  return answer(async () => {
    const input = { AccessToken: accessToken, AttributeName: 'email', Code: code };
    await cognito().send(new VerifyUserAttributeCommand(input));
  });
}

/** Whether the account requires an authenticator's code. */
export function hasSecondFactor(accessToken: string): Promise<Answer<boolean>> {
  return answer(async () => {
    const { UserMFASettingList } = await cognito().send(
      new GetUserCommand({ AccessToken: accessToken }),
    );
    return UserMFASettingList?.includes('SOFTWARE_TOKEN_MFA') ?? false;
  });
}

/**
 * A new secret for an authenticator, in base 32. It takes effect once a code made from it is
 * verified.
 */
export function beginSecondFactor(accessToken: string): Promise<Answer<string>> {
  return answer(async () => {
    const { SecretCode } = await cognito().send(
      new AssociateSoftwareTokenCommand({ AccessToken: accessToken }),
    );
    if (!SecretCode) throw new Error('Cognito sent no secret');
    return SecretCode;
  });
}

export function finishSecondFactor(accessToken: string, code: string): Promise<Answer<void>> {
  return answer(async () => {
    const input = { AccessToken: accessToken, UserCode: code };
    const { Status } = await cognito().send(new VerifySoftwareTokenCommand(input));
    if (Status !== 'SUCCESS') throw new Error(`Cognito verified a code as ${Status}`);
    await preferSecondFactor(accessToken, true);
  });
}

export function dropSecondFactor(accessToken: string): Promise<Answer<void>> {
  return answer(() => preferSecondFactor(accessToken, false));
}

async function preferSecondFactor(accessToken: string, on: boolean): Promise<void> {
  await cognito().send(
    new SetUserMFAPreferenceCommand({
      AccessToken: accessToken,
      SoftwareTokenMfaSettings: { Enabled: on, PreferredMfa: on },
    }),
  );
}

function tokens(result: AuthenticationResultType, secondFactor: boolean): Tokens {
  const { AccessToken, IdToken, RefreshToken, ExpiresIn } = result;
  if (!AccessToken || !IdToken || !ExpiresIn) throw new Error('Cognito sent no tokens');
  // It came directly from Cognito, so its signature is not checked here.
  const { email } = decodeJwt<{ email?: string }>(IdToken);
  return {
    accessToken: AccessToken,
    refreshToken: RefreshToken,
    email: email ?? '',
    expiresIn: ExpiresIn,
    secondFactor,
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
