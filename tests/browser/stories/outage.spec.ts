import { guestsOrder } from './crowd';
import { payments } from './payments';
import { type Shopper, expect, story } from './shopper';

/** Enough for the circuit to open. */
const ORDERS = 30;
/** From a recovery until the last parked order goes on. */
const DRAINED_MS = 120_000;

story.describe.configure({ timeout: 240_000 });
story.afterEach(() => payments.recovers());

function circuit({ main }: Shopper) {
  return main.getByRole('region', { name: 'Payments', exact: true });
}

story('payments fail, and nothing is lost', async ({ shopper, staff }) => {
  await shopper.signsIn();
  const operator = await staff('operator');
  await payments.fails();

  await shopper.buys('Visa ending in 4242');
  await shopper.sees('Your order is waiting, and safe');
  await expect(shopper.main.getByText('Nothing is lost.')).toBeVisible();
  const { pathname } = new URL(shopper.page.url());

  await guestsOrder(ORDERS);
  await operator.page.goto('/staff/operations');
  await expect(circuit(operator).getByRole('status')).toHaveText('Open', { timeout: 60_000 });
  await expect(operator.main.getByText('Too many calls failed').first()).toBeVisible();
  const parked = operator.main.locator(`a[href="/staff${pathname}"]`);
  await expect(parked).toBeVisible({ timeout: 60_000 });

  await payments.recovers();
  await shopper.sees('Your parcel is on its way');
  const drained = operator.main.getByText('Nothing is waiting. Orders go straight through.');
  await expect(drained).toBeVisible({ timeout: DRAINED_MS });
  await expect(circuit(operator).getByRole('status')).toHaveText('Closed', {
    timeout: DRAINED_MS,
  });
});

story('an operator holds payments back, and lets them go', async ({ shopper, staff }) => {
  await shopper.signsIn();
  const operator = await staff('operator');
  await operator.page.goto('/staff/operations');
  await decides(operator, 'Force open', '');
  const reason = circuit(operator).getByLabel('Reason');
  await expect(reason).toHaveAccessibleDescription(/Say why/);

  await decides(operator, 'Force open', 'The provider announced an outage.');
  await expect(operator.main.getByText('The circuit is overridden.')).toBeVisible();
  await expect(circuit(operator)).toContainText('The provider announced an outage.');
  await shopper.buys('Visa ending in 4242');
  await shopper.sees('Your order is waiting, and safe');
  const waiting = operator.main.getByRole('row', { name: /waiting for payments/ });
  await expect(waiting.getByRole('cell').first()).toHaveText(/[1-9]/);
  await expect(circuit(operator).getByRole('meter', { name: 'Retry budget' })).toBeVisible();
  const orders = operator.main.getByRole('region', { name: 'Orders per minute' });
  await expect(orders.getByRole('img')).toBeVisible();

  // Let go by itself, it comes to the same circuit, and waits again.
  const order = new URL(shopper.page.url()).pathname.split('/').at(-1) ?? '';
  await operator.main.getByRole('button', { name: `Release ${order} now` }).click();
  await expect(operator.main.getByText('It resumes now.')).toBeVisible();
  await shopper.sees('Your order is waiting, and safe');

  await decides(operator, 'Release', 'The provider is back.');
  await expect(operator.main.getByText('The override is ended.')).toBeVisible();
  await shopper.sees('Your parcel is on its way');
});

story('support calls off an order that waits', async ({ shopper, staff }) => {
  await shopper.signsIn();
  const support = await staff('support');
  await payments.fails();
  await shopper.buys('Visa ending in 4242');
  await shopper.sees('Your order is waiting, and safe');

  await support.page.goto(`/staff${new URL(shopper.page.url()).pathname}`);
  const cancel = support.main.getByRole('region', { name: 'Cancel the order' });
  await cancel.getByRole('button', { name: 'Cancel the order' }).click();
  await expect(cancel.getByLabel('Reason')).toHaveAccessibleDescription(/Say why/);
  await cancel.getByLabel('Reason').fill('They rang and asked for it.');
  await cancel.getByRole('button', { name: 'Cancel the order' }).click();
  await expect(support.main.getByText('The order is cancelled.')).toBeVisible();
  await shopper.sees('This order was cancelled');
  await expect(shopper.main.getByText('We cancelled it for you.')).toBeVisible();
});

story.describe('without JavaScript', () => {
  story.use({ javaScriptEnabled: false });

  story('an order that waits is called off', async ({ shopper, page }) => {
    await shopper.signsIn();
    await payments.fails();
    await shopper.buys('Visa ending in 4242');
    await shopper.sees('Your order is waiting, and safe');
    await shopper.main.getByRole('button', { name: 'Cancel this order' }).click();
    await shopper.sees('This order was cancelled');
    await expect(page).toHaveURL(/\/orders\//);
  });
});

/** Overrides the circuit, or releases it. */
async function decides(operator: Shopper, wish: string, reason: string): Promise<void> {
  const card = circuit(operator);
  const details = card.getByRole('group');
  if (!(await details.evaluate((it) => (it as HTMLDetailsElement).open))) {
    await card.getByText('Override the circuit').click();
  }
  const choice = card.getByLabel('Override with');
  const option = choice.getByRole('option', { name: wish });
  await choice.selectOption((await option.getAttribute('value')) ?? '');
  await card.getByLabel('Reason').fill(reason);
  await card.getByRole('button', { name: 'Apply to Payments' }).click();
}
