/** One instance of the frontend: its process, and its target at the load balancer. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { AwsClient } from 'aws4fetch';

import { expect } from './shopper';
import { stack } from './stack';

/** The file with the process id of the first instance, which the supervisor of the stack restarts. */
const PID = resolve(stack.logs, 'frontend-1.pid');
const ADDRESS = stack.frontends[0] ?? '';

/** The owner of the emulated AWS account. */
const owner = new AwsClient({
  accessKeyId: 'test',
  secretAccessKey: 'test',
  region: 'us-east-1',
  service: 'elasticloadbalancing',
});

/** Updates the load balancer. The other target has another name (`register_frontends`). */
async function updateTargets(action: 'RegisterTargets' | 'DeregisterTargets'): Promise<void> {
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

async function isHealthy(): Promise<boolean> {
  return fetch(`${ADDRESS}/healthz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

export const firstInstance = {
  /** Stops it as Fargate does: deregisters the target, then asks the process to end. */
  async stop(): Promise<void> {
    await updateTargets('DeregisterTargets');
    const before = pid();
    process.kill(before, 'SIGTERM');
    await expect.poll(pid, { timeout: 40_000 }).not.toBe(before);
  },
  /** Registers the restarted instance once it is healthy. */
  async register(): Promise<void> {
    await expect.poll(isHealthy, { timeout: 30_000 }).toBe(true);
    await updateTargets('RegisterTargets');
  },
};
