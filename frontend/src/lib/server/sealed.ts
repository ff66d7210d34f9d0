/** The seal of this installation. */
import { config } from './config';
import { type Seal, createSeal } from './seal';

let seal: Seal | undefined;

export function sealed(): Seal {
  seal ??= createSeal(config().sessionSecret, config().previousSessionSecret);
  return seal;
}
