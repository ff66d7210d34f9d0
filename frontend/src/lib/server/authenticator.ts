/** What an authenticator app reads: the secret as a key URI, drawn as a QR code. */
import { generate } from 'lean-qr';
import { toSvgPath } from 'lean-qr/extras/svg';

const ISSUER = 'Cauce';
/** The quiet zone around the code, in its modules. */
const MARGIN = 4;
const BASE_32 = /^[A-Z2-7]{16,128}$/;

/** The QR code as the `d` of a path, with the margin and the side of its square. */
export type Picture = { path: string; margin: number; size: number };

export function isSecret(text: string): boolean {
  return BASE_32.test(text);
}

/** `otpauth://totp/…`, the format that authenticator apps read. */
export function keyUri(secret: string, email: string): string {
  const label = encodeURIComponent(`${ISSUER}:${email}`);
  return `otpauth://totp/${label}?${new URLSearchParams({ secret, issuer: ISSUER })}`;
}

export function draw(uri: string): Picture {
  const code = generate(uri);
  return { path: toSvgPath(code), margin: MARGIN, size: code.size + 2 * MARGIN };
}
