/** The payment service, from behind. */
import { stack } from './stack';

async function asks(method: string, fault?: object): Promise<void> {
  const response = await fetch(`${stack.payments}/_faults`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(fault && { body: JSON.stringify(fault) }),
  });
  if (!response.ok) throw new Error(`${method} _faults: ${response.status}`);
}

export const payments = {
  /** Every call of it fails from now on. */
  fails: () => asks('PUT', { mode: 'error', status: 503, operation: '/v1/' }),
  recovers: () => asks('DELETE'),
};
