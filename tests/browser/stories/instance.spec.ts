import { firstInstance } from './instances';
import { expect, story } from './shopper';

story('an instance is stopped in mid-checkout, and nobody notices', async ({ shopper, page }) => {
  story.skip(!process.env.CAUCE_STACK_HOME, 'only `cargo xtask test` starts it again');
  await shopper.signsIn();
  await page.goto('/products?category=coffee');
  const title = await shopper.opensAProduct();
  await shopper.addsToCart(1);
  await shopper.goesToCheckout();
  await shopper.fillsTheAddress();
  try {
    await firstInstance.stops();
    await shopper.places();
    await expect(shopper.main.getByRole('link', { name: title })).toBeVisible();
    await shopper.sees('Your parcel is on its way');
  } finally {
    await firstInstance.isBack();
  }
  await page.goto('/account');
  await shopper.isSignedIn();
});
