import { readFileSync } from 'node:fs';

import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

/**
 * Connects `npm run dev` to the stack that `cargo xtask dev` runs. Variables that are set already
 * stay as they are.
 */
function useStack(): void {
  const file = process.env.CAUCE_STACK ?? '../.dev/stack.json';
  const description = JSON.parse(readStack(file)) as {
    frontend_environment: Record<string, string>;
  };
  process.env = { ...description.frontend_environment, ...process.env };
}

function readStack(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new Error(`${file} is missing: start the stack first, with cargo xtask dev`);
  }
}

export default defineConfig(({ command, isPreview }) => {
  if (command === 'serve' && !isPreview && !process.env.VITEST) useStack();
  return {
    plugins: [sveltekit()],
    // The content security policy allows no data: URLs.
    build: { assetsInlineLimit: 0 },
    test: { include: ['tests/**/*.test.ts'] },
  };
});
