/** All pages, by the role that sees them. */
import type { Shopper } from './shopper';
import type { Role } from './stack';

export type View = {
  name: string;
  /** Opens the page. */
  visit: (person: Shopper) => Promise<unknown>;
};

function at(name: string, path: string): View {
  return { name, visit: ({ page }) => page.goto(path) };
}

/** A page that is opened by a link on another page. */
function linkedFrom(name: string, list: string, link: RegExp): View {
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

const order = linkedFrom('order', '/orders', ORDER);

/** The invoice of an order, paid or not. */
const invoice: View = {
  name: 'invoice',
  visit: async (person) => {
    await order.visit(person);
    await person.page.goto(`${new URL(person.page.url()).pathname}/invoice`);
  },
};

const checkoutAsGuest: View = {
  name: 'checkout-guest',
  visit: async (person) => {
    await person.page.goto('/products?category=coffee');
    await person.openProduct();
    await person.addToCart(1);
    await person.page.goto('/checkout?guest');
  },
};

const guestOrder: View = {
  name: 'guest-order',
  visit: async (person) => {
    await checkoutAsGuest.visit(person);
    await person.fillAddress();
    await person.main.getByLabel('E-mail').fill('somebody@guests.cauce.example');
    await person.main.getByRole('button', { name: /^Place order for/ }).click();
    await person.page.waitForURL(/\/guest-order/);
  },
};

/** Pages for everyone. */
export const PUBLIC: readonly View[] = [
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

/** Pages for each role. The shopper has an order and a filled cart. */
export const BY_ROLE: Partial<Record<Role, readonly View[]>> = {
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
    linkedFrom('staff-order', '/staff/orders', ORDER),
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
    linkedFrom('staff-user', '/staff/users', /support@/),
    at('staff-audit', '/staff/audit'),
  ],
};
