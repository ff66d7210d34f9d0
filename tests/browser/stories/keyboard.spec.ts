import type { Locator } from '@playwright/test';

import { type Shopper, expect, story } from './shopper';
import { user } from './stack';

/** More than any page has places to stop at. */
const MOST_STOPS = 150;

/** Walks on with the tabulator until the focus is there, and can be seen. */
async function walksTo({ page }: Shopper, place: Locator): Promise<void> {
  await expect(place).toBeVisible();
  for (let stop = 0; stop < MOST_STOPS; stop += 1) {
    await page.keyboard.press('Tab');
    const here = await place.evaluate((it) => it === document.activeElement);
    if (!here) continue;
    const outline = await place.evaluate((it) => getComputedStyle(it).outlineStyle);
    expect(outline).not.toBe('none');
    return;
  }
  throw new Error(`no key leads to ${place}`);
}

async function types(person: Shopper, place: Locator, text: string): Promise<void> {
  await walksTo(person, place);
  await person.page.keyboard.type(text);
}

async function presses(person: Shopper, place: Locator): Promise<void> {
  await walksTo(person, place);
  await person.page.keyboard.press('Enter');
}

story('a shopper buys with the keyboard alone', async ({ shopper, page }) => {
  const { main } = shopper;
  const { email, password } = user('shopper');
  await page.goto('/');
  await presses(shopper, shopper.header.getByRole('link', { name: 'Sign in' }));
  await expect(shopper.heading('Sign in')).toBeVisible();
  await types(shopper, main.getByLabel('E-mail'), email);
  await types(shopper, main.getByLabel('Password'), password);
  await page.keyboard.press('Enter');
  await shopper.isSignedIn();

  await types(shopper, page.getByRole('searchbox'), 'roast');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/products\?q=roast/);
  const card = main.getByRole('listitem').filter({ hasText: 'in stock' }).first();
  await presses(shopper, card.getByRole('link'));
  await presses(shopper, main.getByRole('button', { name: 'Add to cart' }));
  await presses(shopper, main.getByRole('link', { name: 'Go to the cart' }));
  await presses(shopper, main.getByRole('link', { name: 'To checkout' }));

  await types(shopper, main.getByLabel('Name', { exact: true }), 'Ana Ríos');
  await types(shopper, main.getByLabel('Street and number'), 'Calle Mayor 1');
  await types(shopper, main.getByLabel('Postal code'), '28013');
  await types(shopper, main.getByLabel('Town or city'), 'Madrid');
  const visa = main.getByLabel('Visa ending in 4242');
  await walksTo(shopper, visa);
  await page.keyboard.press('Space');
  await expect(visa).toBeChecked();
  await presses(shopper, main.getByRole('button', { name: /^Place order for/ }));
  await shopper.sees('Your parcel is on its way');
});
