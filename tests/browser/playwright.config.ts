import { defineConfig } from '@playwright/test';

import { stack } from './stories/stack';

export default defineConfig({
  testDir: 'stories',
  // All tests share one stack, which may run on a laptop.
  workers: 2,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: 'list',
  projects: [
    { name: 'stories', testMatch: '*.spec.ts', testIgnore: 'outage.spec.ts' },
    // Outages affect all other tests, so they run last and one at a time.
    { name: 'outage', testMatch: 'outage.spec.ts', dependencies: ['stories'] },
  ],
  outputDir: '../../target/browser-tests',
  use: {
    baseURL: stack.site,
    locale: 'en-GB',
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
