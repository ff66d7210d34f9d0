/**
 * The idempotency key of a command of which there can be only one: made of what the command is about,
 * so that a form has the same key however often it is shown. Where a command can be meant again, the
 * facts name the state that the form stands for.
 */
import { createHash } from 'node:crypto';

export function formKey(command: string, ...facts: string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([command, ...facts]))
    .digest('base64url');
}
