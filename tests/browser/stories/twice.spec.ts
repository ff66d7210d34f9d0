/** Lost responses, going back, reloading and several tabs: each order is placed once. */
import { randomUUID } from 'node:crypto';

import { type End, loseNextResponse } from './lost-response';
import { Shopper, expect, story } from './shopper';

const ALREADY = 'You had placed this order before';
const ENDS: End[] = ['dropped', '502'];

/** Signs a new person up, who has no other orders. */
async function signUpNew(shopper: Shopper): Promise<void> {
  await shopper.signUp(`new-${randomUUID()}@example.com`, 'A-long-password-1');
  await shopper.expectSignedIn();
}

async function sendForm({ main }: Shopper): Promise<void> {
  await main.getByRole('button', { name: /^Place order for/ }).click();
}

async function expectOrders(shopper: Shopper, count: number): Promise<void> {
  await shopper.page.goto('/orders');
  await expect(shopper.main.getByRole('link', { name: /\w{4}-\w{4}-\w{2}/ })).toHaveCount(count);
}

async function expectPreviousOrder(shopper: Shopper): Promise<void> {
  await expect(shopper.main.getByText(ALREADY)).toBeVisible();
  await expect(shopper.page).toHaveURL(/already/);
}

/** Opens a tab in the same browser. */
async function openTab({ page }: Shopper): Promise<Shopper> {
  return new Shopper(await page.context().newPage());
}

for (const end of ENDS) {
  story(`a response is lost (${end}), and the checkout opened again`, async ({ shopper, page }) => {
    await signUpNew(shopper);
    await shopper.fillCheckout();
    await loseNextResponse(page, end);
    await sendForm(shopper);
    await expect(shopper.main.getByRole('alert')).toContainText('No answer came');

    await page.goto('/checkout');
    await expectPreviousOrder(shopper);
    await expect(shopper.header.getByRole('link', { name: 'Cart, 0 items' })).toBeVisible();
    await expectOrders(shopper, 1);
  });

  story(`a response is lost (${end}), and the form sent again`, async ({ shopper, page }) => {
    await signUpNew(shopper);
    await shopper.fillCheckout();
    await loseNextResponse(page, end);
    await sendForm(shopper);
    await expect(shopper.main.getByRole('alert')).toContainText('No answer came');
    await shopper.placeOrder();
    await expectOrders(shopper, 1);
  });
}

story('a response is lost, and the address changed', async ({ shopper, page }) => {
  await signUpNew(shopper);
  await shopper.fillCheckout();
  await loseNextResponse(page);
  await sendForm(shopper);
  await expect(shopper.main.getByRole('alert')).toContainText('No answer came');
  await shopper.main.getByLabel('Town or city').fill('Toledo');
  await sendForm(shopper);
  await expectPreviousOrder(shopper);
  await expect(shopper.main.getByText('Madrid')).toBeVisible();
  await expectOrders(shopper, 1);
});

story('two tabs send the same cart', async ({ shopper }) => {
  await signUpNew(shopper);
  await shopper.fillCheckout();
  const other = await openTab(shopper);
  await other.page.goto('/checkout');
  await other.fillAddress();
  await shopper.placeOrder();
  await other.main.getByLabel('Town or city').fill('Toledo');
  await sendForm(other);
  await expectPreviousOrder(other);
  await expectOrders(shopper, 1);
});

story('two tabs send the same cart at once', async ({ shopper }) => {
  await signUpNew(shopper);
  await shopper.fillCheckout();
  const other = await openTab(shopper);
  await other.page.goto('/checkout');
  await other.fillAddress();
  await Promise.all([sendForm(shopper), sendForm(other)]);
  for (const { page } of [shopper, other]) {
    await expect(page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
  }
  expect(new URL(other.page.url()).pathname).toBe(new URL(shopper.page.url()).pathname);
  await expectOrders(shopper, 1);
});

story('the same products are bought again on purpose', async ({ shopper }) => {
  await signUpNew(shopper);
  for (const count of [1, 2]) {
    await shopper.fillCheckout();
    await shopper.placeOrder();
    await expectOrders(shopper, count);
  }
});

story('a guest loses the response and corrects the e-mail address', async ({ shopper, page }) => {
  await page.goto('/products?category=coffee');
  await shopper.openProduct();
  await shopper.addToCart(1);
  await page.goto('/checkout?guest');
  await shopper.fillAddress();
  const email = shopper.main.getByLabel('E-mail');
  await email.fill(`${randomUUID()}@guests.cauce.example`);
  await loseNextResponse(page);
  await sendForm(shopper);
  await expect(shopper.main.getByRole('alert')).toContainText('No answer came');
  await email.fill(`${randomUUID()}@guests.cauce.example`);
  await sendForm(shopper);
  await expect(page).toHaveURL(/\/guest-order\?already/);
  await expectPreviousOrder(shopper);
});

story.describe('without JavaScript', () => {
  story.use({ javaScriptEnabled: false });

  story('a response is lost, and the form reloaded', async ({ shopper, page }) => {
    await signUpNew(shopper);
    await shopper.fillCheckout();
    await loseNextResponse(page, '502');
    await sendForm(shopper);
    await expect(page.getByText('Bad gateway')).toBeVisible();
    await page.reload();
    await expect(page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
    await expectOrders(shopper, 1);
  });

  story('an old form is sent after its order was placed', async ({ shopper, page }) => {
    await signUpNew(shopper);
    await shopper.fillCheckout();
    const before = await openTab(shopper);
    await before.page.goto('/checkout');
    await before.fillAddress();
    await shopper.placeOrder();
    const { pathname } = new URL(page.url());
    await sendForm(before);
    await expectPreviousOrder(before);
    expect(new URL(before.page.url()).pathname).toBe(pathname);
    await page.goBack();
    await page.reload();
    await expect(shopper.heading('Your cart')).toBeVisible();
    await expectOrders(shopper, 1);
  });
});

story('a refund is sent from two tabs', async ({ shopper, staff }) => {
  await signUpNew(shopper);
  await shopper.buy('Visa ending in 4242');
  await shopper.expectStatus('Your parcel is on its way');
  const { pathname } = new URL(shopper.page.url());

  const support = await staff('support');
  const other = await openTab(support);
  for (const tab of [support, other]) await tab.page.goto(`/staff${pathname}`);
  await refundOneEuro(support);
  await expect(support.main.getByText('The refund is on its way.')).toBeVisible();
  await refundOneEuro(other);
  const refused = other.main.getByText('Something has changed since this page was shown');
  await expect(refused).toBeVisible();
  const refunds = other.main.getByRole('region', { name: 'Refunds', exact: true });
  await expect(refunds.getByRole('listitem')).toHaveCount(1);
});

async function refundOneEuro({ main }: Shopper): Promise<void> {
  const refund = main.getByRole('region', { name: 'Refund the order' });
  await refund.getByLabel(/^Amount/).fill('1');
  await refund.getByLabel('Reason').fill('It came broken.');
  await refund.getByRole('button', { name: 'Refund' }).click();
}
