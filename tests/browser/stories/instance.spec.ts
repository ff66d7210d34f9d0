import { firstInstance } from './instances';
import { expect, story } from './shopper';

story('stopping an instance does not interrupt a checkout', async ({ shopper, page }) => {
  story.skip(!process.env.CAUCE_STACK_HOME, 'only `cargo xtask test` restarts the instance');
  await shopper.signIn();
  await page.goto('/products?category=coffee');
  const title = await shopper.openProduct();
  await shopper.addToCart(1);
  await shopper.goToCheckout();
  await shopper.fillAddress();
  try {
    await firstInstance.stop();
    await shopper.placeOrder();
    await expect(shopper.main.getByRole('link', { name: title })).toBeVisible();
    await shopper.expectStatus('Your parcel is on its way');
  } finally {
    await firstInstance.register();
  }
  await page.goto('/account');
  await shopper.expectSignedIn();
});
