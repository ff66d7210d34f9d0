/** Seals what a browser keeps for us, so that it can neither read nor change it. */
import { hkdfSync } from 'node:crypto';

import { EncryptJWT, errors, jwtDecrypt } from 'jose';

/** What a sealed text is for; one is not taken for the other. */
export type Purpose = 'access' | 'refresh' | 'challenge' | 'draft' | 'guest';

export type Seal = {
  close(purpose: Purpose, content: Record<string, unknown>, seconds: number): Promise<string>;
  /** The content, or nothing if it was altered, is too old, or was sealed for another purpose. */
  open(purpose: Purpose, sealed: string): Promise<Record<string, unknown> | undefined>;
};

export function createSeal(secret: string): Seal {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'cauce session cookies', 32));
  return {
    close(purpose, content, seconds) {
      return new EncryptJWT({ content })
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .setAudience(purpose)
        .setExpirationTime(`${seconds} seconds`)
        .encrypt(key);
    },
    async open(purpose, sealed) {
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
    },
  };
}
