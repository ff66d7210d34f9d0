/** The controls of the payment service's simulator. */
import { stack } from './stack';

async function request(method: string, fault?: object): Promise<void> {
  const response = await fetch(`${stack.payments}/_faults`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(fault && { body: JSON.stringify(fault) }),
  });
  if (!response.ok) throw new Error(`${method} _faults: ${response.status}`);
}

export const payments = {
  /** Makes every call fail. */
  fail: () => request('PUT', { mode: 'error', status: 503, operation: '/v1/' }),
  recover: () => request('DELETE'),
};
