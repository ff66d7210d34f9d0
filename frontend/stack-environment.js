/**
 * Connects `npm run dev` to the stack that `cargo xtask dev` runs. Variables that are set already
 * stay as they are.
 */
import { readFileSync } from 'node:fs';

const file = process.env.CAUCE_STACK ?? '../.dev/stack.json';
let text;
try {
  text = readFileSync(file, 'utf8');
} catch {
  console.error(`${file} is missing: start the stack first, with cargo xtask dev`);
  process.exit(1);
}
const variables = Object.entries(JSON.parse(text).frontend_environment);
for (const [name, value] of variables) process.env[name] ??= value;
