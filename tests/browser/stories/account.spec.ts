import { randomUUID } from 'node:crypto';

import type { Locator } from '@playwright/test';

import { currentCode } from './authenticator';
import { type Shopper, expect, story } from './shopper';

const [PASSWORD, OTHER_PASSWORD] = ['A-long-password-1', 'Another-password-2'];

/** Signs a new person up and returns the e-mail address. */
async function signUpNew(person: Shopper): Promise<string> {
  const email = `new-${randomUUID()}@example.com`;
  await person.signUp(email, PASSWORD);
  await person.expectSignedIn();
  return email;
}

/** A sign-out ends the sessions that began in an earlier second. */
async function waitForNextSecond(): Promise<void> {
  const second = () => Math.floor(Date.now() / 1_000);
  const before = second();
  await expect.poll(second).toBeGreaterThan(before);
}

/** Expects the session to have ended, which shows when the access token expires after some minutes. */
async function expectSignedOut(person: Shopper): Promise<void> {
  await person.page.context().clearCookies({ name: /cauce_access$/ });
  await person.page.goto('/orders');
  await expect(person.page).toHaveURL(/\/sign-in\?next=%2Forders/);
}

story('a new person signs up, and signs out again', async ({ shopper }) => {
  await signUpNew(shopper);
  await shopper.signOut();

  await shopper.page.goto('/orders');
  await expect(shopper.page).toHaveURL(/\/sign-in\?next=%2Forders/);
});

story('a weak password is refused at its field', async ({ shopper, page }) => {
  await page.goto('/sign-up');
  await shopper.main.getByLabel('E-mail').fill(`new-${randomUUID()}@example.com`);
  await shopper.main.getByLabel('Password').fill('short');
  await shopper.main.getByRole('button', { name: 'Create account' }).click();
  await expect(shopper.main.getByLabel('Password')).toHaveAccessibleDescription(
    /Choose a stronger password/,
  );
});

story('a wrong password reveals nothing about the account', async ({ shopper, page }) => {
  await page.goto('/sign-in');
  await shopper.main.getByLabel('E-mail').fill(`nobody-${randomUUID()}@example.com`);
  await shopper.main.getByLabel('Password').fill('A-wrong-password-1');
  await shopper.main.getByRole('button', { name: 'Sign in' }).click();
  await expect(shopper.main.getByRole('alert')).toContainText(
    'The e-mail or the password is not right.',
  );
});

story('the language is changed on the current page', async ({ shopper, page }) => {
  await page.goto('/cart');
  await page.getByRole('button', { name: 'Español' }).click();
  await expect(shopper.heading('Tu cesta')).toBeVisible();
  await expect(page.locator('html')).toHaveAttribute('lang', 'es');
});

story('a changed password signs out everywhere', async ({ shopper, another }) => {
  const { page } = shopper;
  const email = await signUpNew(shopper);
  const elsewhere = await another();
  await elsewhere.page.goto('/sign-in');
  await elsewhere.signInWith(email, PASSWORD);
  await waitForNextSecond();
  await page.goto('/account/password');
  const [present, wanted] = ['Current password', 'New password'].map((it) =>
    shopper.main.getByLabel(it),
  ) as [Locator, Locator];
  const change = shopper.main.getByRole('button', { name: 'Change the password' });
  await present.fill('A-wrong-password-1');
  await wanted.fill(OTHER_PASSWORD);
  await change.click();
  await expect(present).toHaveAccessibleDescription('This is not your current password.');
  await present.fill(PASSWORD);
  await wanted.fill(OTHER_PASSWORD);
  await change.click();
  await expect(shopper.main.getByText('Your password is changed')).toBeVisible();
  await expectSignedOut(elsewhere);

  await shopper.submitSignIn(email, PASSWORD);
  await expect(shopper.main.getByRole('alert')).toContainText('is not right');
  await shopper.signInWith(email, OTHER_PASSWORD);
});

story('a forgotten password is reset with a code', async ({ shopper, page }) => {
  const email = await signUpNew(shopper);
  await shopper.signOut();
  await page.goto('/sign-in');
  await shopper.main.getByRole('link', { name: 'Forgotten your password?' }).click();
  // Both pages have a field for the e-mail address.
  await expect(shopper.main.getByRole('heading', { name: 'Choose a new password' })).toBeVisible();
  await shopper.main.getByLabel('E-mail').fill(email);
  await shopper.main.getByRole('button', { name: 'Send the code' }).click();
  await expect(shopper.main.getByText(`If there is an account for ${email}`)).toBeVisible();
  await shopper.main.getByLabel('Code').fill('654321');
  await shopper.main.getByLabel('New password').fill('short');
  await shopper.main.getByRole('button', { name: 'Change the password' }).click();
  await expect(shopper.main.getByLabel('New password')).toHaveAccessibleDescription(
    /Choose a stronger password/,
  );
  await expect(shopper.main.getByLabel('Code')).toHaveValue('654321');
  await shopper.main.getByLabel('New password').fill(OTHER_PASSWORD);
  await shopper.main.getByRole('button', { name: 'Change the password' }).click();
  await expect(shopper.main.getByText('You can sign in with it now.')).toBeVisible();
  await shopper.signInWith(email, OTHER_PASSWORD);
});

story('a password reset reveals nothing about an unknown account', async ({ shopper, page }) => {
  const email = `nobody-${randomUUID()}@example.com`;
  await page.goto('/forgot-password');
  await shopper.main.getByLabel('E-mail').fill(email);
  await shopper.main.getByRole('button', { name: 'Send the code' }).click();
  await expect(shopper.main.getByText(`If there is an account for ${email}`)).toBeVisible();
});

story('signing out everywhere ends the other sessions', async ({ shopper, another }) => {
  const email = await signUpNew(shopper);
  const elsewhere = await another();
  await elsewhere.page.goto('/sign-in');
  await elsewhere.signInWith(email, PASSWORD);

  await waitForNextSecond();
  await shopper.page.goto('/account');
  await shopper.main.getByRole('button', { name: 'Sign out everywhere' }).click();
  await expect(shopper.header.getByRole('link', { name: 'Sign in' })).toBeVisible();

  await expectSignedOut(elsewhere);
});

story('a second factor is set up, required and removed', async ({ shopper, another }) => {
  const { main, page } = shopper;
  const email = await signUpNew(shopper);
  const elsewhere = await another();
  await elsewhere.page.goto('/sign-in');
  await elsewhere.signInWith(email, PASSWORD);
  await waitForNextSecond();

  await page.goto('/account/second-factor');
  const password = main.getByLabel('Current password');
  const code = main.getByLabel('Code from the app');
  await main.getByRole('button', { name: 'Set it up' }).click();
  await expect(password).toHaveAccessibleDescription('Enter your password.');
  await password.fill('A-wrong-password-1');
  await main.getByRole('button', { name: 'Set it up' }).click();
  await expect(password).toHaveAccessibleDescription('This is not your current password.');
  await password.fill(PASSWORD);
  await main.getByRole('button', { name: 'Set it up' }).click();
  const shown = main.getByText(/^[A-Z2-7]{4}( [A-Z2-7]{1,4})+$/);
  const secret = (await shown.textContent())?.replaceAll(' ', '') ?? '';
  await code.fill('12');
  await main.getByRole('button', { name: 'Switch it on' }).click();
  await expect(code).toHaveAccessibleDescription(/not the code that the app shows/);
  await expect(shown).toHaveText(secret.match(/.{1,4}/g)?.join(' ') ?? '');
  await code.fill(currentCode(secret));
  await main.getByRole('button', { name: 'Switch it on' }).click();
  await expect(main.getByText('The second factor is on')).toBeVisible();
  await expectSignedOut(elsewhere);

  await shopper.submitSignIn(email, PASSWORD);
  await expect(shopper.heading('One more step')).toBeVisible();
  await code.fill(currentCode(secret));
  await main.getByRole('button', { name: 'Sign in' }).click();
  await shopper.expectSignedIn();

  // Turning it off requires both the password and a code.
  await page.goto('/account/second-factor');
  const drop = page.locator('form[action="?/drop"]');
  const off = drop.getByRole('button', { name: 'Switch it off' });
  await off.click();
  await expect(drop.getByLabel('Current password')).toHaveAccessibleDescription(
    'Enter your password.',
  );
  await drop.getByLabel('Current password').fill(PASSWORD);
  await off.click();
  await expect(drop.getByLabel('Code from the app')).toHaveAccessibleDescription(
    /Enter the code that your authenticator app shows/,
  );
  await drop.getByLabel('Current password').fill(PASSWORD);
  await drop.getByLabel('Code from the app').fill('000000');
  await off.click();
  await expect(drop.getByLabel('Code from the app')).toHaveAccessibleDescription(
    /not the code that the app shows/,
  );
  await waitForNextSecond();
  await drop.getByLabel('Current password').fill(PASSWORD);
  await drop.getByLabel('Code from the app').fill(currentCode(secret));
  await off.click();
  await expect(main.getByText('The second factor is off')).toBeVisible();
});

story('a second sign-up with an address looks like the first', async ({ another }) => {
  const email = await signUpNew(await another());
  const stranger = await another();
  await stranger.page.goto('/sign-up');
  await stranger.main.getByLabel('E-mail').fill(email);
  await stranger.main.getByLabel('Password').fill(OTHER_PASSWORD);
  await stranger.main.getByRole('button', { name: 'Create account' }).click();
  await expect(stranger.heading('Confirm your e-mail')).toBeVisible();
  await expect(stranger.main.getByText(`We sent an e-mail to ${email}`)).toBeVisible();
  // Another account's code does not confirm it, and gets the same response as any wrong code.
  await stranger.main.getByLabel('Code').fill('000000');
  await stranger.main.getByRole('button', { name: 'Confirm', exact: true }).click();
  await expect(stranger.main.getByLabel('Code')).toHaveAccessibleDescription(
    /wrong or has expired/,
  );
});

story('no e-mail address is in a URL', async ({ shopper, page }) => {
  const email = `nobody-${randomUUID()}@example.com`;
  await page.goto('/forgot-password');
  await shopper.main.getByLabel('E-mail').fill(email);
  await shopper.main.getByRole('button', { name: 'Send the code' }).click();
  await expect(shopper.main.getByLabel('E-mail')).toHaveValue(email);
  expect(page.url()).not.toContain('@');
  expect(page.url()).not.toContain('%40');
});

story('guessing a password is limited', async ({ shopper, page }) => {
  const email = `nobody-${randomUUID()}@example.com`;
  await page.goto('/sign-in');
  for (let tries = 0; tries < 20; tries += 1) {
    await shopper.submitSignIn(email, 'A-wrong-password-1');
    await expect(shopper.main.getByRole('alert')).toBeVisible();
    if (await shopper.main.getByText('Too many attempts').isVisible()) break;
  }
  await expect(shopper.main.getByText('Too many attempts')).toBeVisible();
});
