/** People who lose answers, go back, reload and open tabs: each order is placed once. */
import { randomUUID } from 'node:crypto';

import { type End, losesTheNextAnswer } from './lost-answer';
import { Shopper, expect, story } from './shopper';

const ALREADY = 'You had placed this order before';
const ENDS: End[] = ['dropped', '502'];

/** Signs up, so that there are no orders but the story's. */
async function isNew(shopper: Shopper): Promise<void> {
  await shopper.signsUp(`new-${randomUUID()}@example.com`, 'A-long-password-1');
  await shopper.isSignedIn();
}

async function sends({ main }: Shopper): Promise<void> {
  await main.getByRole('button', { name: /^Place order for/ }).click();
}

async function hasOrders(shopper: Shopper, count: number): Promise<void> {
  await shopper.page.goto('/orders');
  await expect(shopper.main.getByRole('link', { name: /\w{4}-\w{4}-\w{2}/ })).toHaveCount(count);
}

async function isShownTheOrderOfBefore(shopper: Shopper): Promise<void> {
  await expect(shopper.main.getByText(ALREADY)).toBeVisible();
  await expect(shopper.page).toHaveURL(/already/);
}

/** The same browser's next tab. */
async function anotherTab({ page }: Shopper): Promise<Shopper> {
  return new Shopper(await page.context().newPage());
}

for (const end of ENDS) {
  story(`an answer is lost (${end}), and the checkout opened again`, async ({ shopper, page }) => {
    await isNew(shopper);
    await shopper.fillsTheCheckout();
    await losesTheNextAnswer(page, end);
    await sends(shopper);
    await expect(shopper.main.getByRole('alert')).toContainText('No answer came');

    await page.goto('/checkout');
    await isShownTheOrderOfBefore(shopper);
    await expect(shopper.header.getByRole('link', { name: 'Cart, 0 items' })).toBeVisible();
    await hasOrders(shopper, 1);
  });

  story(`an answer is lost (${end}), and the form sent again`, async ({ shopper, page }) => {
    await isNew(shopper);
    await shopper.fillsTheCheckout();
    await losesTheNextAnswer(page, end);
    await sends(shopper);
    await expect(shopper.main.getByRole('alert')).toContainText('No answer came');
    await shopper.places();
    await hasOrders(shopper, 1);
  });
}

story('an answer is lost, and the address changed', async ({ shopper, page }) => {
  await isNew(shopper);
  await shopper.fillsTheCheckout();
  await losesTheNextAnswer(page);
  await sends(shopper);
  await expect(shopper.main.getByRole('alert')).toContainText('No answer came');
  await shopper.main.getByLabel('Town or city').fill('Toledo');
  await sends(shopper);
  await isShownTheOrderOfBefore(shopper);
  await expect(shopper.main.getByText('Madrid')).toBeVisible();
  await hasOrders(shopper, 1);
});

story('two tabs send the same cart', async ({ shopper }) => {
  await isNew(shopper);
  await shopper.fillsTheCheckout();
  const other = await anotherTab(shopper);
  await other.page.goto('/checkout');
  await other.fillsTheAddress();
  await shopper.places();
  await other.main.getByLabel('Town or city').fill('Toledo');
  await sends(other);
  await isShownTheOrderOfBefore(other);
  await hasOrders(shopper, 1);
});

story('two tabs send the same cart at once', async ({ shopper }) => {
  await isNew(shopper);
  await shopper.fillsTheCheckout();
  const other = await anotherTab(shopper);
  await other.page.goto('/checkout');
  await other.fillsTheAddress();
  await Promise.all([sends(shopper), sends(other)]);
  for (const { page } of [shopper, other]) {
    await expect(page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
  }
  expect(new URL(other.page.url()).pathname).toBe(new URL(shopper.page.url()).pathname);
  await hasOrders(shopper, 1);
});

story('the same things are bought a second time on purpose', async ({ shopper }) => {
  await isNew(shopper);
  for (const count of [1, 2]) {
    await shopper.fillsTheCheckout();
    await shopper.places();
    await hasOrders(shopper, count);
  }
});

story('a guest loses the answer, and corrects the e-mail address', async ({ shopper, page }) => {
  await page.goto('/products?category=coffee');
  await shopper.opensAProduct();
  await shopper.addsToCart(1);
  await page.goto('/checkout?guest');
  await shopper.fillsTheAddress();
  const email = shopper.main.getByLabel('E-mail');
  await email.fill(`${randomUUID()}@guests.cauce.example`);
  await losesTheNextAnswer(page);
  await sends(shopper);
  await expect(shopper.main.getByRole('alert')).toContainText('No answer came');
  await email.fill(`${randomUUID()}@guests.cauce.example`);
  await sends(shopper);
  await expect(page).toHaveURL(/\/guest-order\?already/);
  await isShownTheOrderOfBefore(shopper);
});

story.describe('without JavaScript', () => {
  story.use({ javaScriptEnabled: false });

  story('an answer is lost, and the form reloaded', async ({ shopper, page }) => {
    await isNew(shopper);
    await shopper.fillsTheCheckout();
    await losesTheNextAnswer(page, '502');
    await sends(shopper);
    await expect(page.getByText('Bad gateway')).toBeVisible();
    await page.reload();
    await expect(page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
    await hasOrders(shopper, 1);
  });

  story('a form of before is sent when its order is placed', async ({ shopper, page }) => {
    await isNew(shopper);
    await shopper.fillsTheCheckout();
    const before = await anotherTab(shopper);
    await before.page.goto('/checkout');
    await before.fillsTheAddress();
    await shopper.places();
    const { pathname } = new URL(page.url());
    await sends(before);
    await isShownTheOrderOfBefore(before);
    expect(new URL(before.page.url()).pathname).toBe(pathname);
    await page.goBack();
    await page.reload();
    await expect(shopper.heading('Your cart')).toBeVisible();
    await hasOrders(shopper, 1);
  });
});

story('a refund is sent from two tabs', async ({ shopper, staff }) => {
  await isNew(shopper);
  await shopper.buys('Visa ending in 4242');
  await shopper.sees('Your parcel is on its way');
  const { pathname } = new URL(shopper.page.url());

  const support = await staff('support');
  const other = await anotherTab(support);
  for (const tab of [support, other]) await tab.page.goto(`/staff${pathname}`);
  await givesOneEuroBack(support);
  await expect(support.main.getByText('The refund is on its way.')).toBeVisible();
  await givesOneEuroBack(other);
  const refused = other.main.getByText('Something has changed since this page was shown');
  await expect(refused).toBeVisible();
  const refunds = other.main.getByRole('region', { name: 'Refunds', exact: true });
  await expect(refunds.getByRole('listitem')).toHaveCount(1);
});

async function givesOneEuroBack({ main }: Shopper): Promise<void> {
  const refund = main.getByRole('region', { name: 'Refund the order' });
  await refund.getByLabel(/^Amount/).fill('1');
  await refund.getByLabel('Reason').fill('It came broken.');
  await refund.getByRole('button', { name: 'Refund' }).click();
}
