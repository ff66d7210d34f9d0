/**
 * The configuration, read once from the environment. The process does not start if something is
 * missing.
 */
import { env } from '$env/dynamic/private';
import { type Config, parseConfig } from './config-rules';

let read: Config | undefined;

export function config(): Config {
  read ??= parseConfig(env);
  return read;
}
