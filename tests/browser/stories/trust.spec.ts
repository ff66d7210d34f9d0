import { randomUUID } from 'node:crypto';

import { Shopper, expect, story } from './shopper';
import { stack, user } from './stack';

const STAFF = ['/staff', '/staff/orders', '/staff/catalogue', '/staff/operations'];
const PATHS = [...STAFF, '/staff/users', '/staff/audit'];

story('staff pages are for staff', async ({ shopper, page }) => {
  for (const path of PATHS) {
    await page.goto(path);
    await expect(page).toHaveURL(new RegExp(`/sign-in\\?next=${encodeURIComponent(path)}$`));
  }
  await shopper.signIn();
  for (const path of PATHS) {
    const response = await page.goto(path);
    expect(response?.status(), path).toBe(403);
  }
});

story('an order of another shopper is not shown', async ({ shopper, page }) => {
  await shopper.signIn();
  await shopper.buy('Visa ending in 4242');
  const { pathname } = new URL(page.url());
  await shopper.signOut();
  await shopper.signUp(`new-${randomUUID()}@example.com`, 'A-long-password-1');
  await shopper.expectSignedIn();
  expect((await page.goto(pathname))?.status()).toBe(404);
});

/** Each contains the path of another resource of the API instead of an id. */
const HIDDEN = [
  '/orders/..%5cusers%23/live',
  '/orders/..%5caudit%23/live',
  '/orders/search%23/live',
  '/orders/..%2fusers%23',
  '/products/..%5cusers%23',
];
const HIDDEN_COMMANDS = [
  '/orders/..%5cops%5cdead-letters%5credrive%23?/cancel',
  '/orders/0190a8b2-7c1d-7e3f-8a4b-5c6d7e8f9a0b%5crefunds%23?/cancel',
];

story('a URL that contains another path is not found', async ({ shopper, page }) => {
  await shopper.signIn();
  const foreign = user('administrator').email;
  const request = (path: string, method: string) =>
    page.evaluate(
      async ([path, method]) => {
        const body = method === 'POST' ? new URLSearchParams({ key: 'k' }) : null;
        const answer = await fetch(path, { method, body });
        return { status: answer.status, text: await answer.text() };
      },
      [path, method] as const,
    );
  for (const path of HIDDEN) {
    const { status, text } = await request(path, 'GET');
    expect([400, 404], path).toContain(status);
    expect(text).not.toContain(foreign);
  }
  for (const path of HIDDEN_COMMANDS) {
    expect([400, 404], path).toContain((await request(path, 'POST')).status);
  }
});

story('a tampered cookie signs out', async ({ shopper, page, context }) => {
  await shopper.signIn();
  const cookies = await context.cookies();
  const tampered = cookies.filter(({ name }) => name.startsWith('__Host-cauce_'));
  expect(tampered.length).toBeGreaterThan(0);
  await context.addCookies(
    tampered.map((cookie) => ({ ...cookie, value: `${cookie.value.slice(0, -8)}AAAAAAAA` })),
  );
  const response = await page.goto('/orders');
  expect(response?.status()).toBe(200);
  await expect(page).toHaveURL(/\/sign-in\?next=%2Forders/);
});

story('a form that is sent twice places one order', async ({ shopper, page }) => {
  await shopper.signUp(`new-${randomUUID()}@example.com`, 'A-long-password-1');
  await shopper.expectSignedIn();
  await shopper.fillCheckout();
  await shopper.main.getByRole('button', { name: /^Place order for/ }).dblclick();
  await expect(page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);

  await page.goBack();
  await expect(shopper.main.getByRole('button', { name: /^Place order for/ })).toHaveCount(0);
  await page.goto('/orders');
  await expect(shopper.main.getByRole('link', { name: /\w{4}-\w{4}-\w{2}/ })).toHaveCount(1);
});

story('a form keeps its input after the session has ended', async ({ shopper, page, context }) => {
  await shopper.signIn();
  await shopper.fillCheckout();
  await context.clearCookies({ name: /^__Host-cauce_(access|refresh)$/ });
  await shopper.main.getByRole('button', { name: /^Place order for/ }).click();
  await expect(page).toHaveURL(/\/sign-in\?next=%2Fcheckout/);
  await shopper.signInHere();
  await expect(shopper.main.getByLabel('Town or city')).toHaveValue('Madrid');
  await shopper.placeOrder();
});

story(
  'a form does not act for a user who signed in in another tab',
  async ({ shopper, page, context }) => {
    await shopper.signIn();
    await shopper.fillCheckout();

    const other = new Shopper(await context.newPage());
    await other.page.goto('/');
    await other.signOut();
    const email = `new-${randomUUID()}@example.com`;
    await other.signUp(email, 'A-long-password-1');
    await other.expectSignedIn();

    await shopper.main.getByRole('button', { name: /^Place order for/ }).click();
    await expect(shopper.main.getByText('Nothing was done')).toBeVisible();
    await expect(shopper.main.getByText(email)).toBeVisible();
    await other.page.goto('/orders');
    await expect(other.main.getByRole('link', { name: /\w{4}-\w{4}-\w{2}/ })).toHaveCount(0);

    // The form that is sent again belongs to the new user.
    await shopper.fillAddress();
    await shopper.placeOrder();
  },
);

story('no token reaches the page', async ({ shopper, page }) => {
  await shopper.signIn();
  await page.goto('/account');
  const html = await page.content();
  expect(html).not.toMatch(/eyJ[\w-]+\.[\w-]+\./);
  const readable = await page.evaluate(() => [
    document.cookie,
    JSON.stringify(localStorage),
    JSON.stringify(sessionStorage),
  ]);
  expect(readable.join(' ')).not.toMatch(/cauce_(access|refresh)|eyJ/);
});

story(
  'other sites cannot send forms, and pages run only their own scripts',
  async ({ shopper, page }) => {
    await shopper.signIn();
    const elsewhere = 'http://elsewhere.example/';
    const body = `<form method="POST" action="${stack.site}/sign-out"><button>Win</button></form>`;
    await page.route(elsewhere, (route) => route.fulfill({ contentType: 'text/html', body }));
    await page.goto(elsewhere);
    const refused = page.waitForResponse(/\/sign-out$/);
    await page.getByRole('button').click();
    expect((await refused).status()).toBe(403);

    const response = await page.goto('/');
    await shopper.expectSignedIn();
    const headers = response?.headers() ?? {};
    expect(headers['strict-transport-security']).toMatch(/max-age=\d{8}/);
    const policy = headers['content-security-policy'] ?? '';
    expect(policy).toMatch(/script-src 'self' 'nonce-[^']+'/);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe-inline');
    expect(policy).not.toContain('unsafe-eval');
  },
);
