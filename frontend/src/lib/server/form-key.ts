/**
 * The idempotency key of a command that may happen only once: a hash of its facts, so that a form
 * has the same key however often it is shown. If the command can be repeated on purpose, the facts
 * include the state that the form was shown for.
 */
import { createHash } from 'node:crypto';

export function formKey(command: string, ...facts: string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([command, ...facts]))
    .digest('base64url');
}
