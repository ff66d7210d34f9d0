import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [sveltekit()],
  // The content security policy allows no data: URLs.
  build: { assetsInlineLimit: 0 },
  test: { include: ['tests/**/*.test.ts'] },
});
