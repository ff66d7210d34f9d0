/** Pictures of each page instead of stories: `npm run screenshots`. */
import { defineConfig } from '@playwright/test';

import stories from './playwright.config';

export default defineConfig({
  ...stories,
  testDir: 'screenshots',
  projects: [{ name: 'screenshots', testMatch: '*.spec.ts' }],
});
