import { randomUUID } from 'node:crypto';

import type { Locator } from '@playwright/test';

import { type Shopper, expect, story } from './shopper';

story('support finds an order and refunds a part', async ({ shopper, staff }) => {
  await shopper.signIn();
  const title = await shopper.buy('Visa ending in 4242');
  await shopper.expectStatus('Your parcel is on its way');
  const number = await shopper.orderNumber();

  const support = await staff('support');
  await support.page.goto('/staff/orders');
  await support.main.getByLabel('Id, number or e-mail').fill(number.toLowerCase());
  await support.main.getByRole('button', { name: 'Find' }).click();
  await expect(support.page).toHaveURL(/\?q=/);
  await support.main.getByRole('link', { name: number }).click();
  await expect(support.heading(`Order ${number}`)).toBeVisible();
  await expect(support.main.getByText('The payment is captured')).toBeVisible();
  await expect(support.main.getByRole('link', { name: title })).toBeVisible();

  const refund = support.main.getByRole('region', { name: 'Refund the order' });
  await refund.getByLabel('Amount (EUR)').fill('1,00');
  await refund.getByRole('button', { name: 'Refund' }).click();
  await expect(refund.getByLabel('Reason')).toHaveAccessibleDescription(/Say why/);
  await expect(refund.getByLabel('Amount (EUR)')).toHaveValue('1,00');

  await refund.getByLabel('Reason').fill('It came late.');
  await refund.getByRole('button', { name: 'Refund' }).click();
  await expect(support.main.getByText('The refund is on its way.')).toBeVisible();
  await expect(async () => {
    await support.page.reload();
    const given = support.main.getByRole('region', { name: 'Refunds', exact: true });
    await expect(given).toContainText('€1.00', { timeout: 1_000 });
    await expect(given).toContainText('done', { timeout: 1_000 });
  }).toPass();
  await shopper.page.reload();
  await shopper.expectStatus('A part of what you paid is on its way back to your card.');
});

story('an unknown order is not found, and an invalid search is refused', async ({ staff }) => {
  const support = await staff('support');
  await support.page.goto('/staff/orders');
  const asked = support.main.getByLabel('Id, number or e-mail');
  await asked.fill('<script>alert(1)</script>');
  await support.main.getByRole('button', { name: 'Find' }).click();
  await expect(asked).toHaveAccessibleDescription(/This is not an id/);
  await expect(asked).toHaveValue('<script>alert(1)</script>');
  await asked.fill('nobody@cauce.example');
  await support.main.getByRole('button', { name: 'Find' }).click();
  await expect(support.main.getByText('No order matches.')).toBeVisible();
});

story('support finds orders by e-mail address', async ({ shopper, staff }) => {
  const email = `new-${randomUUID()}@example.com`;
  await shopper.signUp(email, 'A-long-password-1');
  await shopper.expectSignedIn();
  await shopper.buy('Visa ending in 0002');
  await shopper.expectStatus('Your card was declined');
  const number = await shopper.orderNumber();

  const { main, page } = await staff('support');
  await page.goto('/staff/orders');
  await main.getByLabel('Id, number or e-mail').fill(email);
  await main.getByLabel('Order', { exact: true }).selectOption({ label: 'Cancelled' });
  await main.getByRole('button', { name: 'Find' }).click();
  await expect(main.getByRole('link', { name: number })).toBeVisible();
  await expect(main.getByRole('heading', { level: 3 })).toHaveCount(1);

  await main.getByLabel('Order', { exact: true }).selectOption({ label: 'Completed' });
  await main.getByRole('button', { name: 'Find' }).click();
  await expect(main.getByText('No order matches.')).toBeVisible();
});

story('an administrator refunds more than support may', async ({ shopper, staff }) => {
  await shopper.signIn();
  await shopper.buyMany('COFFEE-0009', 20);
  await shopper.expectStatus('Your parcel is on its way');
  const { pathname } = new URL(shopper.page.url());

  const support = await staff('support');
  const refused = await refundAll(support, pathname, 'It came broken.');
  await expect(refused.getByRole('alert')).toContainText('only so much of one order');
  await expect(refused.getByLabel('Reason')).toHaveValue('It came broken.');

  const administrator = await staff('administrator');
  await refundAll(administrator, pathname, 'It came broken.');
  await expect(administrator.main.getByText('The refund is on its way.')).toBeVisible();
  await expectRefunded(shopper);
});

story('a large refund needs a second person', async ({ shopper, another, staff }) => {
  await shopper.signIn();
  await shopper.buyMany('COFFEE-0009', 60);
  await shopper.expectStatus('Your parcel is on its way');
  const { pathname } = new URL(shopper.page.url());
  const number = await shopper.orderNumber();

  const administrator = await staff('administrator');
  const requester = await another();
  const [email, password] = [`new-${randomUUID()}@example.com`, 'A-long-password-1'];
  await requester.signUp(email, password);
  await requester.expectSignedIn();
  await setAdministrator(administrator, email, true);
  await requester.signOut();
  await requester.page.goto('/sign-in');
  await requester.signInWith(email, password);

  const refund = await refundAll(requester, pathname, 'It came broken.');
  await expect(refund).toContainText('A second person has to approve');
  await expect(requester.main.getByText('awaits the approval')).toBeVisible();
  const asked = requester.main.getByRole('region', { name: 'Approval of refunds' });
  await expect(asked).toContainText('It came broken.');
  await expect(asked).toContainText('Another person has to approve it.');
  await expect(asked.getByRole('button', { name: 'Approve the refund' })).toHaveCount(0);
  await setAdministrator(administrator, email, false);
  await shopper.page.reload();
  await expect(shopper.main.getByText('approv')).toHaveCount(0);

  await administrator.page.goto('/staff/orders');
  const open = administrator.main.getByRole('region', { name: 'Refunds that await approval' });
  await open.getByRole('link', { name: email }).click();
  await expect(administrator.heading(`Order ${number}`)).toBeVisible();
  const approval = administrator.main.getByRole('region', { name: 'Approval of refunds' });
  await approval.getByRole('button', { name: 'Decline the refund' }).click();
  await expect(approval.getByLabel('Reason')).toHaveAccessibleDescription(/Say why/);
  await approval.getByRole('button', { name: 'Approve the refund' }).click();
  await expect(administrator.main.getByText('is approved and on its way')).toBeVisible();
  await expect(approval).toContainText('Approved');
  await expectRefunded(shopper);
});

/** Reloads the order until it is refunded, because the page of a completed order does not update itself. */
async function expectRefunded(shopper: Shopper): Promise<void> {
  const said = shopper.main.getByRole('status').getByText('Your payment was refunded');
  await expect(async () => {
    await shopper.page.reload();
    await expect(said).toBeVisible({ timeout: 1_000 });
  }).toPass();
}

/** Assigns the role of administrators to a user, or removes it. */
async function setAdministrator(by: Shopper, email: string, is: boolean): Promise<void> {
  await by.page.goto('/staff/users');
  await by.main.getByLabel('E-mail begins with').fill(email);
  await by.main.getByRole('button', { name: 'Find' }).click();
  await expect(by.page).toHaveURL(/\?q=/);
  await by.main.getByRole('link', { name: email }).click();
  const roles = by.main.getByRole('region', { name: 'Roles' });
  await roles.getByLabel('Administrator').setChecked(is);
  await roles.getByLabel('Reason').fill('A test.');
  await roles.getByRole('button', { name: 'Save the roles' }).click();
  await expect(by.main.getByText('The roles are saved.')).toBeVisible();
}

/** Requests a full refund of an order, and returns the region of the form. */
async function refundAll(person: Shopper, order: string, reason: string): Promise<Locator> {
  await person.page.goto(`/staff${order}`);
  const refund = person.main.getByRole('region', { name: 'Refund the order' });
  await refund.getByLabel('Reason').fill(reason);
  await refund.getByRole('button', { name: 'Refund' }).click();
  return refund;
}
