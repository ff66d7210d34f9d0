import AxeBuilder from '@axe-core/playwright';

import { type Shopper, expect, story } from './shopper';

const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

async function isAccessible({ page }: Shopper): Promise<void> {
  for (const language of ['Español', 'English']) {
    await page.getByRole('button', { name: language }).click();
    await expect(page.getByRole('button', { name: language, pressed: true })).toBeVisible();
    const { violations } = await new AxeBuilder({ page }).withTags(WCAG).analyze();
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
    expect(found, `${page.url()} in ${language}`).toEqual([]);
  }
}

for (const colorScheme of ['light', 'dark'] as const) {
  story.describe(colorScheme, () => {
    story.use({ colorScheme });

    story('the way from home to the order is free of barriers', async ({ shopper }) => {
      await shopper.signsIn();
      await shopper.page.goto('/');
      await isAccessible(shopper);
      await shopper.page.goto('/products?category=coffee');
      await isAccessible(shopper);
      await shopper.opensAProduct();
      await isAccessible(shopper);
      await shopper.addsToCart(1);
      await isAccessible(shopper);
      await shopper.goesToCheckout();
      await isAccessible(shopper);
      await shopper.fillsTheAddress();
      await shopper.places();
      await shopper.sees('Your parcel is on its way');
      await isAccessible(shopper);
      await shopper.page.goto('/orders');
      await isAccessible(shopper);
    });
  });
}
