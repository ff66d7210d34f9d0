import type { IncomingMessage } from 'node:http';

import type { Cart } from '$lib/cart';
import type { Language } from '$lib/i18n/language';
import type { Api } from '$lib/server/api';
import type { Session } from '$lib/server/session';

declare global {
  namespace App {
    interface Error {
      message: string;
      /** Names the request in the logs. */
      traceId?: string;
    }
    /** What the adapter adds; there is none in development. */
    interface Platform {
      req: IncomingMessage;
    }
    interface Locals {
      traceId: string;
      language: Language;
      session: Session | undefined;
      cart: Cart;
      api: Api;
    }
  }
}

export {};
