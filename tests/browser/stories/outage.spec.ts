import { placeGuestOrders } from './guest-orders';
import { payments } from './payments';
import { type Shopper, expect, story } from './shopper';

/** Enough orders to open the circuit. */
const ORDERS = 30;
/** The time from a recovery until the last parked order resumes. */
const DRAINED_MS = 120_000;

story.describe.configure({ timeout: 240_000 });
story.afterEach(() => payments.recover());

function circuit({ main }: Shopper) {
  return main.getByRole('region', { name: 'Payments', exact: true });
}

story('payments fail, and nothing is lost', async ({ shopper, staff }) => {
  await shopper.signIn();
  const operator = await staff('operator');
  await payments.fail();

  await shopper.buy('Visa ending in 4242');
  await shopper.expectStatus('Your order is waiting, and safe');
  await expect(shopper.main.getByText('Nothing is lost.')).toBeVisible();
  const { pathname } = new URL(shopper.page.url());

  await placeGuestOrders(ORDERS);
  await operator.page.goto('/staff/operations');
  await expect(circuit(operator).getByRole('status')).toHaveText('Open', { timeout: 60_000 });
  await expect(operator.main.getByText('Too many calls failed').first()).toBeVisible();
  const parked = operator.main.locator(`a[href="/staff${pathname}"]`);
  await expect(parked).toBeVisible({ timeout: 60_000 });

  await payments.recover();
  await shopper.expectStatus('Your parcel is on its way');
  const drained = operator.main.getByText('Nothing is waiting. Orders go straight through.');
  await expect(drained).toBeVisible({ timeout: DRAINED_MS });
  await expect(circuit(operator).getByRole('status')).toHaveText('Closed', {
    timeout: DRAINED_MS,
  });
});

story(
  'an operator forces the circuit of payments open and releases it',
  async ({ shopper, staff }) => {
    await shopper.signIn();
    const operator = await staff('operator');
    await operator.page.goto('/staff/operations');
    await force(operator, 'Force open', '');
    const reason = circuit(operator).getByLabel('Reason');
    await expect(reason).toHaveAccessibleDescription(/Say why/);

    await force(operator, 'Force open', 'The provider announced an outage.');
    await expect(operator.main.getByText('The circuit is overridden.')).toBeVisible();
    await expect(circuit(operator)).toContainText('The provider announced an outage.');
    await shopper.buy('Visa ending in 4242');
    await shopper.expectStatus('Your order is waiting, and safe');
    const waiting = operator.main.getByRole('row', { name: /waiting for payments/ });
    await expect(waiting.getByRole('cell').first()).toHaveText(/[1-9]/);
    await expect(circuit(operator).getByRole('meter', { name: 'Retry budget' })).toBeVisible();
    const orders = operator.main.getByRole('region', { name: 'Orders per minute' });
    await expect(orders.getByRole('img')).toBeVisible();

    // A resumed order meets the same open circuit and waits again.
    const order = new URL(shopper.page.url()).pathname.split('/').at(-1) ?? '';
    await operator.main.getByRole('button', { name: `Release ${order} now` }).click();
    await expect(operator.main.getByText('It resumes now.')).toBeVisible();
    await shopper.expectStatus('Your order is waiting, and safe');

    await force(operator, 'Release', 'The provider is back.');
    await expect(operator.main.getByText('The override is ended.')).toBeVisible();
    await shopper.expectStatus('Your parcel is on its way');
  },
);

story('support cancels a waiting order', async ({ shopper, staff }) => {
  await shopper.signIn();
  const support = await staff('support');
  await payments.fail();
  await shopper.buy('Visa ending in 4242');
  await shopper.expectStatus('Your order is waiting, and safe');

  await support.page.goto(`/staff${new URL(shopper.page.url()).pathname}`);
  const cancel = support.main.getByRole('region', { name: 'Cancel the order' });
  await cancel.getByRole('button', { name: 'Cancel the order' }).click();
  await expect(cancel.getByLabel('Reason')).toHaveAccessibleDescription(/Say why/);
  await cancel.getByLabel('Reason').fill('They rang and asked for it.');
  await cancel.getByRole('button', { name: 'Cancel the order' }).click();
  await expect(support.main.getByText('The order is cancelled.')).toBeVisible();
  await shopper.expectStatus('This order was cancelled');
  await expect(shopper.main.getByText('We cancelled it for you.')).toBeVisible();
});

story.describe('without JavaScript', () => {
  story.use({ javaScriptEnabled: false });

  story('a waiting order is cancelled', async ({ shopper, page }) => {
    await shopper.signIn();
    await payments.fail();
    await shopper.buy('Visa ending in 4242');
    await shopper.expectStatus('Your order is waiting, and safe');
    await shopper.main.getByRole('button', { name: 'Cancel this order' }).click();
    await shopper.expectStatus('This order was cancelled');
    await expect(page).toHaveURL(/\/orders\//);
  });
});

/** Forces or releases the circuit. */
async function force(operator: Shopper, action: string, reason: string): Promise<void> {
  const card = circuit(operator);
  const details = card.getByRole('group');
  if (!(await details.evaluate((it) => (it as HTMLDetailsElement).open))) {
    await card.getByText('Override the circuit').click();
  }
  const choice = card.getByLabel('Override with');
  const option = choice.getByRole('option', { name: action });
  await choice.selectOption((await option.getAttribute('value')) ?? '');
  await card.getByLabel('Reason').fill(reason);
  await card.getByRole('button', { name: 'Apply to Payments' }).click();
}
