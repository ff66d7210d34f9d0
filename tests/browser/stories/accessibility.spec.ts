import AxeBuilder from '@axe-core/playwright';

import { BY_ROLE, PUBLIC, type View } from './pages';
import { type Shopper, expect, story } from './shopper';
import type { Role } from './stack';

const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 800 };

// One story for each role visits many pages. The workers share the stories.
story.describe.configure({ mode: 'parallel', timeout: 240_000 });

// Otherwise colours would still be in transition when they are checked.
story.use({ contextOptions: { reducedMotion: 'reduce' } });

async function switchLanguage({ page }: Shopper, language: string): Promise<void> {
  await page.getByRole('button', { name: language }).click();
  await expect(page.getByRole('button', { name: language, pressed: true })).toBeVisible();
}

/**
 * The problems of the current page. axe runs in the page itself (legacy mode), because it has no frames. The other
 * mode opens a tab, and a hidden page may not be rendered any more.
 */
async function findProblems({ page }: Shopper): Promise<string[]> {
  const axe = new AxeBuilder({ page }).withTags(WCAG).setLegacyMode();
  const { violations } = await axe.analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  const widest = page.viewportSize()?.width ?? 0;
  return width > widest ? [...found, `is ${width} px wide on ${widest}`] : found;
}

/** Checks each page in both languages, on a phone and on a desktop, in light and dark colours. */
async function expectAccessible(person: Shopper, views: readonly View[]): Promise<void> {
  for (const { name, visit } of views) {
    await person.page.setViewportSize(DESKTOP);
    await visit(person);
    for (const [language, size] of [
      ['Español', PHONE],
      ['English', DESKTOP],
    ] as const) {
      await person.page.setViewportSize(size);
      await switchLanguage(person, language);
      for (const colorScheme of ['light', 'dark'] as const) {
        await person.page.emulateMedia({ colorScheme });
        expect
          .soft(await findProblems(person), `${name} in ${language}, ${colorScheme}`)
          .toEqual([]);
      }
    }
  }
}

story('public pages are accessible', async ({ shopper }) => {
  await expectAccessible(shopper, PUBLIC);
});

for (const [role, views] of Object.entries(BY_ROLE)) {
  story(`the pages of a ${role} are accessible`, async ({ shopper }) => {
    await shopper.signIn(role as Role);
    if (role === 'shopper') await shopper.orderAndFillCart();
    await expectAccessible(shopper, views);
  });
}
