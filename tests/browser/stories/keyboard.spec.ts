import type { Locator } from '@playwright/test';

import { type Shopper, expect, story } from './shopper';
import { user } from './stack';

/** More tab stops than any page has. */
const MOST_STOPS = 150;

/** Presses Tab until the element has the focus, which must be visible. */
async function focus({ page }: Shopper, place: Locator): Promise<void> {
  await expect(place).toBeVisible();
  for (let stop = 0; stop < MOST_STOPS; stop += 1) {
    await page.keyboard.press('Tab');
    const here = await place.evaluate((it) => it === document.activeElement);
    if (!here) continue;
    const outline = await place.evaluate((it) => getComputedStyle(it).outlineStyle);
    expect(outline).not.toBe('none');
    return;
  }
  throw new Error(`${place} cannot be reached with the keyboard`);
}

async function type(person: Shopper, place: Locator, text: string): Promise<void> {
  await focus(person, place);
  await person.page.keyboard.type(text);
}

async function press(person: Shopper, place: Locator): Promise<void> {
  await focus(person, place);
  await person.page.keyboard.press('Enter');
}

story('a shopper buys with the keyboard alone', async ({ shopper, page }) => {
  const { main } = shopper;
  const { email, password } = user('shopper');
  await page.goto('/');
  await press(shopper, shopper.header.getByRole('link', { name: 'Sign in' }));
  await expect(shopper.heading('Sign in')).toBeVisible();
  await type(shopper, main.getByLabel('E-mail'), email);
  await type(shopper, main.getByLabel('Password'), password);
  await page.keyboard.press('Enter');
  await shopper.expectSignedIn();

  await type(shopper, page.getByRole('searchbox'), 'roast');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/products\?q=roast/);
  const card = main.getByRole('listitem').filter({ hasText: 'in stock' }).first();
  await press(shopper, card.getByRole('link'));
  await press(shopper, main.getByRole('button', { name: 'Add to cart' }));
  await press(shopper, main.getByRole('link', { name: 'Go to the cart' }));
  await press(shopper, main.getByRole('link', { name: 'To checkout' }));

  await type(shopper, main.getByLabel('Name', { exact: true }), 'Ana Ríos');
  await type(shopper, main.getByLabel('Street and number'), 'Calle Mayor 1');
  await type(shopper, main.getByLabel('Postal code'), '28013');
  await type(shopper, main.getByLabel('Town or city'), 'Madrid');
  const visa = main.getByLabel('Visa ending in 4242');
  await focus(shopper, visa);
  await page.keyboard.press('Space');
  await expect(visa).toBeChecked();
  await press(shopper, main.getByRole('button', { name: /^Place order for/ }));
  await shopper.expectStatus('Your parcel is on its way');
});
