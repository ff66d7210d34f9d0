import { resolve } from 'node:path';

import { BY_ROLE, PUBLIC, type View } from '../stories/pages';
import { type Shopper, story } from '../stories/shopper';
import type { Role } from '../stories/stack';

const FOLDER =
  process.env.CAUCE_SCREENSHOTS ?? resolve(import.meta.dirname, '../../../target/screenshots');
const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };

story.describe.configure({ timeout: 240_000 });

async function takeScreenshots(
  person: Shopper,
  views: readonly View[],
  look: string,
): Promise<void> {
  for (const { name, visit } of views) {
    await visit(person);
    for (const [device, size] of Object.entries(SIZES)) {
      await person.page.setViewportSize(size);
      const path = `${FOLDER}/${name}-${device}-${look}.png`;
      await person.page.screenshot({ path, fullPage: true, animations: 'disabled' });
    }
  }
}

for (const colorScheme of ['light', 'dark'] as const) {
  story.describe(colorScheme, () => {
    story.use({ colorScheme });

    story('public pages', async ({ shopper }) => {
      await takeScreenshots(shopper, PUBLIC, colorScheme);
    });

    for (const [role, views] of Object.entries(BY_ROLE)) {
      story(`pages of a ${role}`, async ({ shopper }) => {
        await shopper.signIn(role as Role);
        if (role === 'shopper') await shopper.orderAndFillCart();
        await takeScreenshots(shopper, views, colorScheme);
      });
    }
  });
}
