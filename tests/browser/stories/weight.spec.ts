import { gzipSync } from 'node:zlib';

import { expect, story } from './shopper';

/** The limit in bytes, compressed. */
const MOST_SCRIPT = 60_000;

story('the first page loads little JavaScript', async ({ page }) => {
  const scripts: Promise<Buffer>[] = [];
  page.on('response', (response) => {
    if (response.request().resourceType() === 'script') scripts.push(response.body());
  });
  await page.goto('/', { waitUntil: 'networkidle' });
  const inline = await page.locator('script:not([src])').allTextContents();
  const all = [...(await Promise.all(scripts)), ...inline.map((text) => Buffer.from(text))];
  const bytes = all.reduce((sum, script) => sum + gzipSync(script).length, 0);
  expect(scripts.length).toBeGreaterThan(0);
  expect(bytes).toBeLessThan(MOST_SCRIPT);
  console.log(`the first page's JavaScript: ${bytes} bytes`);
});
