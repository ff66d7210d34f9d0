/** A person in the shop: their actions, and what they see. */
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

/** The emulator's user pool sends no mail and accepts this code. */
const EMULATOR_CODE = '123456';

export class Shopper {
  constructor(readonly page: Page) {}

  async signIn(role: Role = 'shopper'): Promise<void> {
    await this.page.goto('/sign-in');
    await this.signInHere(role);
  }

  /** Signs in on the current page. */
  async signInHere(role: Role = 'shopper'): Promise<void> {
    const { email, password } = user(role);
    await this.signInWith(email, password);
  }

  async signInWith(email: string, password: string): Promise<void> {
    await this.submitSignIn(email, password);
    await this.expectSignedIn();
  }

  /** Submits the sign-in form, which may be refused. */
  async submitSignIn(email: string, password: string): Promise<void> {
    await this.main.getByLabel('E-mail').fill(email);
    await this.main.getByLabel('Password').fill(password);
    await this.main.getByRole('button', { name: 'Sign in' }).click();
  }

  async signUp(email: string, password: string): Promise<void> {
    await this.page.goto('/sign-up');
    await this.main.getByLabel('E-mail').fill(email);
    await this.main.getByLabel('Password').fill(password);
    await this.main.getByRole('button', { name: 'Create account' }).click();
    await expect(this.page).not.toHaveURL(/\/sign-up(\?.*)?$/);
    // Some stacks confirm addresses automatically.
    if (!this.page.url().includes('/sign-up/confirm')) return;
    await this.main.getByLabel('Code').fill(EMULATOR_CODE);
    await this.main.getByRole('button', { name: 'Confirm', exact: true }).click();
    await expect(this.page).toHaveURL(/\/sign-in/);
    await this.submitSignIn(email, password);
  }

  async signOut(): Promise<void> {
    await this.header.getByRole('button', { name: 'Sign out' }).click();
    await expect(this.header.getByRole('link', { name: 'Sign in' })).toBeVisible();
  }

  async expectSignedIn(): Promise<void> {
    await expect(this.header.getByRole('button', { name: 'Sign out' })).toBeVisible();
  }

  async search(words: string): Promise<void> {
    await this.page.getByRole('searchbox').fill(words);
    await this.page.getByRole('button', { name: 'Search' }).click();
    await expect(this.page).toHaveURL(/\/products\?q=/);
  }

  /** Opens the first product on the page with enough stock. */
  async openProduct(): Promise<string> {
    const cards = this.main.getByRole('listitem').filter({ hasText: 'in stock' });
    const link = cards.first().getByRole('link');
    const title = (await link.textContent())?.trim() ?? '';
    await link.click();
    await expect(this.main.getByRole('heading', { level: 1 })).toHaveText(title);
    return title;
  }

  async addToCart(quantity: number): Promise<void> {
    await this.main.getByLabel('Quantity').fill(String(quantity));
    await this.main.getByRole('button', { name: 'Add to cart' }).click();
    await expect(this.main.getByText('is in your cart')).toBeVisible();
    await this.main.getByRole('link', { name: 'Go to the cart' }).click();
    await expect(this.heading('Your cart')).toBeVisible();
  }

  async goToCheckout(): Promise<void> {
    await this.main.getByRole('link', { name: 'To checkout' }).click();
    await expect(this.heading('Checkout')).toBeVisible();
  }

  /** Opens the checkout with one coffee, and fills in the address. */
  async fillCheckout(): Promise<void> {
    await this.page.goto('/products?category=coffee');
    await this.openProduct();
    await this.addToCart(1);
    await this.goToCheckout();
    await this.fillAddress();
  }

  async fillAddress(): Promise<void> {
    for (const [label, value] of Object.entries(ADDRESS)) {
      await this.main.getByLabel(label, { exact: true }).fill(value);
    }
  }

  /** Buys one product, from the search to the order's page. */
  async buy(card: Card): Promise<string> {
    await this.page.goto('/');
    await this.search('roast');
    const title = await this.openProduct();
    await this.orderShownProduct(1, card);
    return title;
  }

  /** Buys many articles of one product with a card that is approved. */
  async buyMany(sku: string, quantity: number): Promise<void> {
    await this.page.goto(`/products/${sku}`);
    await this.orderShownProduct(quantity, 'Visa ending in 4242');
  }

  /** Places an order that is shipped, and fills the cart. */
  async orderAndFillCart(): Promise<void> {
    await this.buy('Visa ending in 4242');
    await this.expectStatus('Your parcel is on its way');
    await this.page.goto('/products?category=tea');
    await this.openProduct();
    await this.addToCart(1);
  }

  async placeOrder(): Promise<void> {
    await this.main.getByRole('button', { name: /^Place order for/ }).click();
    await expect(this.page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
    await expect(this.main.getByRole('heading', { level: 1 })).toHaveText(
      /^Order \w{4}-\w{4}-\w{2}/,
    );
  }

  /** Waits until the page shows a status without being reloaded. */
  async expectStatus(headline: string): Promise<void> {
    const status = this.main.getByRole('status').getByText(headline);
    await expect(status).toBeVisible({ timeout: 60_000 });
  }

  /** The number of the order on the current page. */
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

  private async orderShownProduct(quantity: number, card: Card): Promise<void> {
    await this.addToCart(quantity);
    await this.goToCheckout();
    await this.fillAddress();
    await this.main.getByLabel(card).check();
    await this.placeOrder();
  }
}

/** Collects the errors that the browser reports on a page. */
function collectErrors(page: Page): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  return faults;
}

type People = {
  shopper: Shopper;
  /** Another person, with their own browser. */
  another: () => Promise<Shopper>;
  /** A member of staff, signed in, with their own browser. */
  staff: (role: Role) => Promise<Shopper>;
};

/** A test with a shopper. It fails if the browser reports an error on a page. */
export const story = base.extend<People>({
  shopper: async ({ page }, use) => {
    const faults = collectErrors(page);
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
      faults.push(collectErrors(page));
      return new Shopper(page);
    });
    for (const context of contexts) await context.close();
    expect(faults.flat()).toEqual([]);
  },
  staff: async ({ another }, use) => {
    await use(async (role) => {
      const person = await another();
      await person.signIn(role);
      return person;
    });
  },
});

export { expect };
