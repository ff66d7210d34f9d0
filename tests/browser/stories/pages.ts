/** The pages that there are, and as whom they are looked at. */
import type { Shopper } from './shopper';
import type { Role } from './stack';

export type Sight = {
  name: string;
  /** Leads to the page. */
  visit: (person: Shopper) => Promise<unknown>;
};

function at(name: string, path: string): Sight {
  return { name, visit: ({ page }) => page.goto(path) };
}

/** A page that a link of another leads to. */
function behind(name: string, list: string, link: RegExp): Sight {
  return {
    name,
    visit: async ({ page, main }) => {
      await page.goto(list);
      await main.getByRole('link', { name: link }).first().click();
      await page.waitForURL((url) => url.pathname !== list);
    },
  };
}

const ORDER = /\w{4}-\w{4}-\w{2}/;

const order = behind('order', '/orders', ORDER);

/** Of an order that is paid, or is not. */
const invoice: Sight = {
  name: 'invoice',
  visit: async (person) => {
    await order.visit(person);
    await person.page.goto(`${new URL(person.page.url()).pathname}/invoice`);
  },
};

const checkoutAsGuest: Sight = {
  name: 'checkout-guest',
  visit: async (person) => {
    await person.page.goto('/products?category=coffee');
    await person.opensAProduct();
    await person.addsToCart(1);
    await person.page.goto('/checkout?guest');
  },
};

const guestOrder: Sight = {
  name: 'guest-order',
  visit: async (person) => {
    await checkoutAsGuest.visit(person);
    await person.fillsTheAddress();
    await person.main.getByLabel('E-mail').fill('somebody@guests.cauce.example');
    await person.main.getByRole('button', { name: /^Place order for/ }).click();
    await person.page.waitForURL(/\/guest-order/);
  },
};

/** For everybody. */
export const OPEN: readonly Sight[] = [
  at('home', '/'),
  at('products', '/products?category=coffee'),
  at('search', '/products?q=tea'),
  at('product', '/products/COFFEE-0001'),
  at('not-found', '/products/NOTHING-0001'),
  at('cart-empty', '/cart'),
  at('sign-in', '/sign-in'),
  at('sign-up', '/sign-up'),
  at('sign-up-confirm', '/sign-up/confirm'),
  at('forgot-password', '/forgot-password'),
  at('forgot-password-code', '/forgot-password/code'),
  at('find-order', '/find-order'),
  checkoutAsGuest,
  guestOrder,
];

/** For who is signed in. The shopper has ordered something, and has something in the cart. */
export const BY_ROLE: Partial<Record<Role, readonly Sight[]>> = {
  shopper: [
    at('cart', '/cart'),
    at('checkout', '/checkout'),
    at('orders', '/orders'),
    order,
    invoice,
    at('account', '/account'),
    at('account-password', '/account/password'),
    at('account-email', '/account/email'),
    at('account-second-factor', '/account/second-factor'),
  ],
  support: [
    at('staff', '/staff'),
    at('staff-orders', '/staff/orders'),
    behind('staff-order', '/staff/orders', ORDER),
  ],
  operator: [at('staff-operations', '/staff/operations')],
  'catalogue-manager': [
    at('staff-catalogue', '/staff/catalogue'),
    at('staff-product', '/staff/catalogue/COFFEE-0001'),
    at('staff-products-file', '/staff/catalogue/import'),
    at('staff-product-new', '/staff/catalogue/new?category=tea'),
  ],
  administrator: [
    at('staff-users', '/staff/users'),
    behind('staff-user', '/staff/users', /support@/),
    at('staff-audit', '/staff/audit'),
  ],
};
