import { randomUUID } from 'node:crypto';

import { expect, story } from './shopper';

story('a guest places an order and finds it', async ({ shopper, page, context }) => {
  const email = `${randomUUID()}@guests.cauce.example`;
  await page.goto('/products?category=coffee');
  await shopper.openProduct();
  await shopper.addToCart(1);
  await shopper.main.getByRole('link', { name: 'To checkout' }).click();
  await shopper.main.getByRole('link', { name: 'Order without an account' }).click();
  await expect(shopper.heading('Checkout')).toBeVisible();
  await shopper.fillAddress();
  await shopper.main.getByRole('button', { name: /^Place order for/ }).click();
  const asked = shopper.main.getByLabel('E-mail');
  await expect(asked).toHaveAccessibleDescription(/such as ana@example.com/);

  await asked.fill(email);
  await shopper.main.getByRole('button', { name: /^Place order for/ }).click();
  await expect(page).toHaveURL(/\/guest-order\?placed/);
  const number = await shopper.orderNumber();
  await expect(shopper.main.getByText(`Keep the number ${number}`)).toBeVisible();
  await shopper.expectStatus('Your parcel is on its way');

  await context.clearCookies();
  await page.goto('/guest-order');
  await expect(page).toHaveURL(/\/find-order$/);
  await shopper.main.getByLabel('Order number').fill(number.toLowerCase());
  await shopper.main.getByLabel('E-mail').fill('somebody-else@cauce.example');
  await shopper.main.getByRole('button', { name: 'Find it' }).click();
  await expect(shopper.main.getByRole('alert')).toContainText('There is no order');
  await expect(shopper.main.getByLabel('Order number')).toHaveValue(number.toLowerCase());
  await shopper.main.getByLabel('E-mail').fill(email);
  await shopper.main.getByRole('button', { name: 'Find it' }).click();
  await expect(shopper.heading(`Order ${number}`)).toBeVisible();
});

story.describe('without JavaScript', () => {
  story.use({ javaScriptEnabled: false });

  story('an invalid order number is refused at its field', async ({ shopper, page }) => {
    await page.goto('/find-order');
    await shopper.main.getByLabel('Order number').fill('my order');
    await shopper.main.getByRole('button', { name: 'Find it' }).click();
    const number = shopper.main.getByLabel('Order number');
    await expect(number).toHaveAccessibleDescription(/as you received it/);
    await expect(number).toHaveValue('my order');
  });
});
