import { resolve } from 'node:path';

import { BY_ROLE, OPEN, type Sight } from '../stories/pages';
import { type Shopper, story } from '../stories/shopper';
import type { Role } from '../stories/stack';

const FOLDER =
  process.env.CAUCE_SCREENSHOTS ?? resolve(import.meta.dirname, '../../../target/screenshots');
const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };

story.describe.configure({ timeout: 240_000 });

async function pictures(person: Shopper, sights: readonly Sight[], look: string): Promise<void> {
  for (const { name, visit } of sights) {
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

    story('what everybody sees', async ({ shopper }) => {
      await pictures(shopper, OPEN, colorScheme);
    });

    for (const [role, sights] of Object.entries(BY_ROLE)) {
      story(`what a ${role} sees`, async ({ shopper }) => {
        await shopper.signsIn(role as Role);
        if (role === 'shopper') await shopper.hasShopped();
        await pictures(shopper, sights, colorScheme);
      });
    }
  });
}
