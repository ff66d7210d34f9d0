/**
 * The load balancer's health check. It calls no dependency: their outage is no reason to replace
 * this process.
 */
export function GET(): Response {
  return new Response('ok\n', { headers: { 'cache-control': 'no-store' } });
}
