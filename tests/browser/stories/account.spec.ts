import { randomUUID } from 'node:crypto';

import { expect, story } from './shopper';

story('a new person signs up, and signs out again', async ({ shopper }) => {
  await shopper.signsUp(`new-${randomUUID()}@example.com`, 'A-long-password-1');
  await shopper.isSignedIn();
  await shopper.signsOut();

  await shopper.page.goto('/orders');
  await expect(shopper.page).toHaveURL(/\/sign-in\?next=%2Forders/);
});

story('a weak password is refused where it was typed', async ({ shopper, page }) => {
  await page.goto('/sign-up');
  await shopper.main.getByLabel('E-mail').fill(`new-${randomUUID()}@example.com`);
  await shopper.main.getByLabel('Password').fill('short');
  await shopper.main.getByRole('button', { name: 'Create account' }).click();
  await expect(shopper.main.getByLabel('Password')).toHaveAccessibleDescription(
    /Choose a stronger password/,
  );
});

story('a wrong password tells nothing about the account', async ({ shopper, page }) => {
  await page.goto('/sign-in');
  await shopper.main.getByLabel('E-mail').fill(`nobody-${randomUUID()}@example.com`);
  await shopper.main.getByLabel('Password').fill('A-wrong-password-1');
  await shopper.main.getByRole('button', { name: 'Sign in' }).click();
  await expect(shopper.main.getByRole('alert')).toHaveText(
    'The e-mail or the password is not right.',
  );
});

story('the shop changes its language where one stands', async ({ shopper, page }) => {
  await page.goto('/cart');
  await page.getByRole('button', { name: 'Español' }).click();
  await expect(shopper.heading('Tu cesta')).toBeVisible();
  await expect(page.locator('html')).toHaveAttribute('lang', 'es');
});
