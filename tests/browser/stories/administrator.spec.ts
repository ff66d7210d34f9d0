import { randomUUID } from 'node:crypto';

import { expect, story } from './shopper';

story(
  'an administrator assigns and removes a role, and both are audited',
  async ({ shopper, staff }) => {
    const [email, password] = [`new-${randomUUID()}@example.com`, 'A-long-password-1'];
    await shopper.signUp(email, password);
    await shopper.expectSignedIn();

    const administrator = await staff('administrator');
    const { main, page } = administrator;
    await page.goto('/staff/users');
    await main.getByLabel('E-mail begins with').fill(email);
    await main.getByRole('button', { name: 'Find' }).click();
    await expect(page).toHaveURL(/\?q=/);
    await main.getByRole('link', { name: email }).click();
    await expect(administrator.heading(email)).toBeVisible();

    const roles = main.getByRole('region', { name: 'Roles' });
    await roles.getByLabel('Support').check();
    await roles.getByRole('button', { name: 'Save the roles' }).click();
    await expect(roles.getByLabel('Reason')).toHaveAccessibleDescription(/Say why/);
    await expect(roles.getByLabel('Support')).toBeChecked();
    await roles.getByLabel('Reason').fill('They start on Monday.');
    await roles.getByRole('button', { name: 'Save the roles' }).click();
    await expect(main.getByText('The roles are saved.')).toBeVisible();

    await shopper.signOut();
    await shopper.page.goto('/sign-in');
    await shopper.signInWith(email, password);
    await shopper.page.goto('/staff/orders');
    await expect(shopper.heading('Orders')).toBeVisible();

    await roles.getByLabel('Support').uncheck();
    await roles.getByLabel('Reason').fill('They have left.');
    await roles.getByRole('button', { name: 'Save the roles' }).click();
    await expect(roles.getByLabel('Support')).not.toBeChecked();
    const id = new URL(page.url()).pathname.split('/').at(-1) ?? '';
    await page.goto('/staff/audit');
    await main.getByRole('textbox', { name: /^To what/ }).fill(id);
    await main.getByRole('textbox', { name: /^What/ }).fill('user.roles');
    await main.getByRole('button', { name: 'Find' }).click();
    await expect(main.getByText('They have left.')).toBeVisible();
    await expect(main.getByText('They start on Monday.')).toBeVisible();
  },
);

story('administrators cannot change their own account', async ({ staff }) => {
  const { main, page } = await staff('administrator');
  await page.goto('/staff/users');
  await main.getByRole('searchbox').fill('administrator@');
  await main.getByRole('button', { name: 'Find' }).click();
  // The list without a search has the link, too, until the search replaces it.
  await expect(page).toHaveURL(/\?q=/);
  await main.getByRole('link', { name: 'administrator@cauce.example' }).click();
  await expect(main.getByText('This is your own account.')).toBeVisible();
  await expect(main.getByRole('button', { name: 'Save the roles' })).toHaveCount(0);
});
