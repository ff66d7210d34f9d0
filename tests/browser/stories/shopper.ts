/** A person at the shop: what they do and what they see, in their own words. */
import {
  type BrowserContext,
  type Locator,
  type Page,
  expect,
  test as base,
} from '@playwright/test';

import { type Role, user } from './stack';

export type Card = 'Visa ending in 4242' | 'Visa ending in 0002';

const ADDRESS = {
  Name: 'Ana Ríos',
  'Street and number': 'Calle Mayor 1',
  'Postal code': '28013',
  'Town or city': 'Madrid',
};

/** The emulator's user pool sends no mail and takes this code. */
const EMULATOR_CODE = '123456';

export class Shopper {
  constructor(readonly page: Page) {}

  async signsIn(role: Role = 'shopper'): Promise<void> {
    await this.page.goto('/sign-in');
    await this.signsInHere(role);
  }

  /** Signs in on the page that was led to. */
  async signsInHere(role: Role = 'shopper'): Promise<void> {
    const { email, password } = user(role);
    await this.signsInWith(email, password);
  }

  async signsInWith(email: string, password: string): Promise<void> {
    await this.triesToSignIn(email, password);
    await this.isSignedIn();
  }

  /** Sends the form of the sign-in page, whatever comes of it. */
  async triesToSignIn(email: string, password: string): Promise<void> {
    await this.main.getByLabel('E-mail').fill(email);
    await this.main.getByLabel('Password').fill(password);
    await this.main.getByRole('button', { name: 'Sign in' }).click();
  }

  async signsUp(email: string, password: string): Promise<void> {
    await this.page.goto('/sign-up');
    await this.main.getByLabel('E-mail').fill(email);
    await this.main.getByLabel('Password').fill(password);
    await this.main.getByRole('button', { name: 'Create account' }).click();
    await expect(this.page).not.toHaveURL(/\/sign-up(\?.*)?$/);
    // A stack may confirm addresses by itself.
    if (!this.page.url().includes('/sign-up/confirm')) return;
    await this.main.getByLabel('Code').fill(EMULATOR_CODE);
    await this.main.getByRole('button', { name: 'Confirm', exact: true }).click();
    await expect(this.page).toHaveURL(/\/sign-in/);
    await this.triesToSignIn(email, password);
  }

  async signsOut(): Promise<void> {
    await this.header.getByRole('button', { name: 'Sign out' }).click();
    await expect(this.header.getByRole('link', { name: 'Sign in' })).toBeVisible();
  }

  async isSignedIn(): Promise<void> {
    await expect(this.header.getByRole('button', { name: 'Sign out' })).toBeVisible();
  }

  async searches(words: string): Promise<void> {
    await this.page.getByRole('searchbox').fill(words);
    await this.page.getByRole('button', { name: 'Search' }).click();
    await expect(this.page).toHaveURL(/\/products\?q=/);
  }

  /** Opens the first product on the page that there is enough of. */
  async opensAProduct(): Promise<string> {
    const cards = this.main.getByRole('listitem').filter({ hasText: 'in stock' });
    const link = cards.first().getByRole('link');
    const title = (await link.textContent())?.trim() ?? '';
    await link.click();
    await expect(this.main.getByRole('heading', { level: 1 })).toHaveText(title);
    return title;
  }

  async addsToCart(quantity: number): Promise<void> {
    await this.main.getByLabel('Quantity').fill(String(quantity));
    await this.main.getByRole('button', { name: 'Add to cart' }).click();
    await expect(this.main.getByText('is in your cart')).toBeVisible();
    await this.main.getByRole('link', { name: 'Go to the cart' }).click();
    await expect(this.heading('Your cart')).toBeVisible();
  }

  async goesToCheckout(): Promise<void> {
    await this.main.getByRole('link', { name: 'To checkout' }).click();
    await expect(this.heading('Checkout')).toBeVisible();
  }

  /** Comes to the checkout with one coffee, and says where it goes. */
  async fillsTheCheckout(): Promise<void> {
    await this.page.goto('/products?category=coffee');
    await this.opensAProduct();
    await this.addsToCart(1);
    await this.goesToCheckout();
    await this.fillsTheAddress();
  }

  async fillsTheAddress(): Promise<void> {
    for (const [label, value] of Object.entries(ADDRESS)) {
      await this.main.getByLabel(label, { exact: true }).fill(value);
    }
  }

  /** Buys one product, from the search to the order's page. */
  async buys(card: Card): Promise<string> {
    await this.page.goto('/');
    await this.searches('roast');
    const title = await this.opensAProduct();
    await this.ordersWhatIsShown(1, card);
    return title;
  }

  /** Buys much of one product with a good card. */
  async buysMuch(sku: string, quantity: number): Promise<void> {
    await this.page.goto(`/products/${sku}`);
    await this.ordersWhatIsShown(quantity, 'Visa ending in 4242');
  }

  /** Has an order on its way, and something in the cart. */
  async hasShopped(): Promise<void> {
    await this.buys('Visa ending in 4242');
    await this.sees('Your parcel is on its way');
    await this.page.goto('/products?category=tea');
    await this.opensAProduct();
    await this.addsToCart(1);
  }

  async places(): Promise<void> {
    await this.main.getByRole('button', { name: /^Place order for/ }).click();
    await expect(this.page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
    await expect(this.main.getByRole('heading', { level: 1 })).toHaveText(
      /^Order \w{4}-\w{4}-\w{2}/,
    );
  }

  /** Waits, without a hand on the page, until it says so. */
  async sees(headline: string): Promise<void> {
    const said = this.main.getByRole('status').getByText(headline);
    await expect(said).toBeVisible({ timeout: 60_000 });
  }

  /** The number of the order whose page is open. */
  async orderNumber(): Promise<string> {
    const title = await this.main.getByRole('heading', { level: 1 }).textContent();
    return /\w{4}-\w{4}-\w{2}/.exec(title ?? '')?.[0] ?? '';
  }

  heading(name: string): Locator {
    return this.main.getByRole('heading', { level: 1, name });
  }

  get header(): Locator {
    return this.page.getByRole('banner');
  }

  get main(): Locator {
    return this.page.getByRole('main');
  }

  private async ordersWhatIsShown(quantity: number, card: Card): Promise<void> {
    await this.addsToCart(quantity);
    await this.goesToCheckout();
    await this.fillsTheAddress();
    await this.main.getByLabel(card).check();
    await this.places();
  }
}

/** What a browser finds wrong with the pages that somebody is on. */
function watch(page: Page): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  return faults;
}

type People = {
  shopper: Shopper;
  /** Somebody at a browser of their own. */
  another: () => Promise<Shopper>;
  /** As `another`, somebody of the staff, signed in. */
  staff: (role: Role) => Promise<Shopper>;
};

/** A story whose hero is a shopper. What the browser finds wrong with a page ends it. */
export const story = base.extend<People>({
  shopper: async ({ page }, use) => {
    const faults = watch(page);
    await use(new Shopper(page));
    expect(faults).toEqual([]);
  },
  another: async ({ browser }, use) => {
    const faults: string[][] = [];
    const contexts: BrowserContext[] = [];
    await use(async () => {
      const context = await browser.newContext();
      contexts.push(context);
      const page = await context.newPage();
      faults.push(watch(page));
      return new Shopper(page);
    });
    for (const context of contexts) await context.close();
    expect(faults.flat()).toEqual([]);
  },
  staff: async ({ another }, use) => {
    await use(async (role) => {
      const person = await another();
      await person.signsIn(role);
      return person;
    });
  },
});

export { expect };
