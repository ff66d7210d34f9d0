import AxeBuilder from '@axe-core/playwright';

import { BY_ROLE, OPEN, type Sight } from './pages';
import { type Shopper, expect, story } from './shopper';
import type { Role } from './stack';

const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const PHONE = { width: 360, height: 740 };
const DESK = { width: 1280, height: 800 };

// A story for each role, which goes through many pages: the workers share them.
story.describe.configure({ mode: 'parallel', timeout: 240_000 });

// Else colours would fade into those of the other scheme while they are judged.
story.use({ contextOptions: { reducedMotion: 'reduce' } });

async function speaks({ page }: Shopper, language: string): Promise<void> {
  await page.getByRole('button', { name: language }).click();
  await expect(page.getByRole('button', { name: language, pressed: true })).toBeVisible();
}

/**
 * What is found wrong with the page that is looked at. It is judged in the page itself (legacy mode), as nothing is
 * framed: another tab would hide it, and a page that was hidden may be given no frames for as long as one waits.
 */
async function faults({ page }: Shopper): Promise<string[]> {
  const axe = new AxeBuilder({ page }).withTags(WCAG).setLegacyMode();
  const { violations } = await axe.analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  const widest = page.viewportSize()?.width ?? 0;
  return width > widest ? [...found, `is ${width} px wide on ${widest}`] : found;
}

/** Each page is as good in either language, the one on a phone and the other at a desk, by day and by night. */
async function areFreeOfBarriers(person: Shopper, sights: readonly Sight[]): Promise<void> {
  for (const { name, visit } of sights) {
    await person.page.setViewportSize(DESK);
    await visit(person);
    for (const [language, size] of [
      ['Español', PHONE],
      ['English', DESK],
    ] as const) {
      await person.page.setViewportSize(size);
      await speaks(person, language);
      for (const colorScheme of ['light', 'dark'] as const) {
        await person.page.emulateMedia({ colorScheme });
        expect.soft(await faults(person), `${name} in ${language}, ${colorScheme}`).toEqual([]);
      }
    }
  }
}

story('what everybody sees is free of barriers', async ({ shopper }) => {
  await areFreeOfBarriers(shopper, OPEN);
});

for (const [role, sights] of Object.entries(BY_ROLE)) {
  story(`what a ${role} sees is free of barriers`, async ({ shopper }) => {
    await shopper.signsIn(role as Role);
    if (role === 'shopper') await shopper.hasShopped();
    await areFreeOfBarriers(shopper, sights);
  });
}
