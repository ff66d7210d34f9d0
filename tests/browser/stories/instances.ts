/** One of the frontend's instances, as the load balancer and the machine see it. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { AwsClient } from 'aws4fetch';

import { expect } from './shopper';
import { stack } from './stack';

/** Where the first one's program writes its number; whoever keeps the stack starts it again. */
const PID = resolve(stack.logs, 'frontend-1.pid');
const ADDRESS = stack.frontends[0] ?? '';

/** As whom everything at the emulated AWS belongs to. */
const owner = new AwsClient({
  accessKeyId: 'test',
  secretAccessKey: 'test',
  region: 'us-east-1',
  service: 'elasticloadbalancing',
});

/** Tells the load balancer; the other target goes by another name (`register_frontends`). */
async function tell(action: 'RegisterTargets' | 'DeregisterTargets'): Promise<void> {
  const { endpoint, frontend_target_group_arn } = stack.aws;
  const response = await owner.fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      Action: action,
      Version: '2015-12-01',
      TargetGroupArn: frontend_target_group_arn,
      'Targets.member.1.Id': '127.0.0.1',
      'Targets.member.1.Port': new URL(ADDRESS).port,
    }).toString(),
  });
  if (!response.ok) throw new Error(`${action}: ${response.status} ${await response.text()}`);
}

function pid(): number {
  return Number(readFileSync(PID, 'utf8'));
}

async function answers(): Promise<boolean> {
  return fetch(`${ADDRESS}/healthz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

export const firstInstance = {
  /** Takes it away as Fargate does: first from the load balancer, then by asking it to end. */
  async stops(): Promise<void> {
    await tell('DeregisterTargets');
    const before = pid();
    process.kill(before, 'SIGTERM');
    await expect.poll(pid, { timeout: 40_000 }).not.toBe(before);
  },
  /** Another one stands in its place. */
  async isBack(): Promise<void> {
    await expect.poll(answers, { timeout: 30_000 }).toBe(true);
    await tell('RegisterTargets');
  },
};
