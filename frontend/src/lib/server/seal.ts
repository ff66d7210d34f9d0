/** Seals cookies and URLs: the browser can neither read nor change them. */
import { hkdfSync } from 'node:crypto';

import { EncryptJWT, errors, jwtDecrypt } from 'jose';

/** What a sealed text is for. It can be opened for the same purpose only. */
export type Purpose =
  | 'access'
  | 'refresh'
  | 'activity'
  | 'challenge'
  | 'draft'
  | 'guest'
  | 'enrolment'
  | 'known-accounts'
  | 'address'
  | 'search'
  | 'checkout';

export type Seal = {
  close(purpose: Purpose, content: Record<string, unknown>, seconds: number): Promise<string>;
  /** The content; undefined if it was altered, has expired, or was sealed for another purpose. */
  open(purpose: Purpose, sealed: string): Promise<Record<string, unknown> | undefined>;
};

/** Seals with `secret`; opens also with `previous`, during a rotation. */
export function createSeal(secret: string, previous?: string): Seal {
  const key = keyOf(secret);
  const keys = previous === undefined ? [key] : [key, keyOf(previous)];
  return {
    close(purpose, content, seconds) {
      return new EncryptJWT({ content })
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .setAudience(purpose)
        .setExpirationTime(`${seconds} seconds`)
        .encrypt(key);
    },
    async open(purpose, sealed) {
      for (const key of keys) {
        const content = await openWith(key, purpose, sealed);
        if (content) return content;
      }
      return undefined;
    },
  };
}

function keyOf(secret: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', 'cauce session cookies', 32));
}

async function openWith(
  key: Uint8Array,
  purpose: Purpose,
  sealed: string,
): Promise<Record<string, unknown> | undefined> {
  try {
    const { payload } = await jwtDecrypt<{ content: Record<string, unknown> }>(sealed, key, {
      audience: purpose,
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    return payload.content;
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}
