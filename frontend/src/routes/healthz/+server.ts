/** For the load balancer: this process answers. It asks nobody, for their trouble is not its own. */
export function GET(): Response {
  return new Response('ok\n', { headers: { 'cache-control': 'no-store' } });
}
