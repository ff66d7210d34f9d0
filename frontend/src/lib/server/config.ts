/** What the environment says, read once and refused at start where it says too little. */
import { env } from '$env/dynamic/private';
import { type Config, parseConfig } from './config-rules';

let read: Config | undefined;

export function config(): Config {
  read ??= parseConfig(env);
  return read;
}
