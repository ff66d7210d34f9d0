/** The running stack: its addresses, and the people who can sign in. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

export type Role = 'shopper' | 'support' | 'catalogue-manager' | 'operator' | 'administrator';
type User = { role: Role; email: string; password: string };
type Stack = {
  site: string;
  api: string;
  payments: string;
  aws: { endpoint: string; frontend_target_group_arn: string };
  frontends: string[];
  frontend_key: string;
  logs: string;
  users: User[];
};

const file = process.env.CAUCE_STACK ?? resolve(import.meta.dirname, '../../../.dev/stack.json');

export const stack = JSON.parse(readFileSync(file, 'utf8')) as Stack;

export function user(role: Role): User {
  const found = stack.users.find((user) => user.role === role);
  if (!found) throw new Error(`${file} names no user with the role ${role}`);
  return found;
}
