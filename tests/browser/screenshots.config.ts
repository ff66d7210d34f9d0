/** Takes a screenshot of each page: `npm run screenshots`. */
import { defineConfig } from '@playwright/test';

import stories from './playwright.config';

export default defineConfig({
  ...stories,
  testDir: 'screenshots',
  projects: [{ name: 'screenshots', testMatch: '*.spec.ts' }],
});
