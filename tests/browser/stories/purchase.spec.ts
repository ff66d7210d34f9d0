import { expect, story } from './shopper';
import { user } from './stack';

story('a shopper buys with a good card and watches the order ship', async ({ shopper }) => {
  await shopper.signIn();
  const title = await shopper.buy('Visa ending in 4242');

  await shopper.expectStatus('Your parcel is on its way');
  await expect(shopper.main.getByText('Tracking number', { exact: true })).toBeVisible();
  await expect(shopper.main.getByText('Your card was charged')).toBeVisible();
  await expect(shopper.main.getByRole('link', { name: title })).toBeVisible();
  await expect(shopper.header.getByRole('link', { name: 'Cart, 0 items' })).toBeVisible();
});

story('a declined card cancels the order and shows why', async ({ shopper }) => {
  await shopper.signIn();
  await shopper.buy('Visa ending in 0002');

  await shopper.expectStatus('Your card was declined');
  await expect(shopper.main.getByText('Nothing was charged')).toBeVisible();
  await expect(shopper.main.getByText('The order was cancelled', { exact: true })).toBeVisible();
});

story('a guest keeps the cart when signing in for the checkout', async ({ shopper, page }) => {
  await page.goto('/products');
  const title = await shopper.openProduct();
  await shopper.addToCart(2);
  await shopper.main.getByRole('link', { name: 'To checkout' }).click();
  await expect(page).toHaveURL(/\/sign-in\?next=%2Fcheckout/);

  await shopper.signInHere();
  await expect(shopper.heading('Checkout')).toBeVisible();
  await expect(shopper.main.getByText(`2 × ${title}`)).toBeVisible();
});

story('an incomplete address is refused at its fields and kept', async ({ shopper }) => {
  await shopper.signIn();
  await shopper.page.goto('/products');
  await shopper.openProduct();
  await shopper.addToCart(1);
  await shopper.goToCheckout();
  await shopper.main.getByLabel('Name').fill('Ana');
  await shopper.main.getByRole('button', { name: /^Place order for/ }).click();

  await expect(shopper.main.getByRole('alert')).toContainText('The order was not placed');
  const city = shopper.main.getByLabel('Town or city');
  await expect(city).toHaveAccessibleDescription('Fill this in.');
  await expect(shopper.main.getByLabel('Name')).toHaveValue('Ana');
});

story.describe('without JavaScript', () => {
  story.use({ javaScriptEnabled: false });

  story('a shopper buys', async ({ shopper }) => {
    await shopper.signIn();
    await shopper.buy('Visa ending in 4242');
    await shopper.expectStatus('Your parcel is on its way');
  });
});

story.describe('in Spanish, the language of the browser', () => {
  story.use({ locale: 'es-ES' });

  story('a shopper buys', async ({ page }) => {
    const main = page.getByRole('main');
    const { email, password } = user('shopper');
    await page.goto('/sign-in');
    await main.getByLabel('Correo electrónico').fill(email);
    await main.getByLabel('Contraseña').fill(password);
    await main.getByRole('button', { name: 'Entrar' }).click();
    await expect(page).not.toHaveURL(/sign-in/);

    await page.goto('/products/COFFEE-0001');
    await main.getByRole('button', { name: 'Añadir a la cesta' }).click();
    await main.getByRole('link', { name: 'Ir a la cesta' }).click();
    await main.getByRole('link', { name: 'Tramitar el pedido' }).click();
    await main.getByRole('button', { name: /^Hacer el pedido por/ }).click();
    await expect(main.getByRole('alert')).toContainText('El pedido no se ha hecho');

    await main.getByLabel('Nombre', { exact: true }).fill('Ana Ríos');
    await main.getByLabel('Calle y número').fill('Calle Mayor 1');
    await main.getByLabel('Código postal').fill('28013');
    await main.getByLabel('Localidad').fill('Madrid');
    await main.getByRole('button', { name: /^Hacer el pedido por/ }).click();
    await expect(page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
    await expect(main.getByText('Tu paquete está en camino').first()).toBeVisible({
      timeout: 30_000,
    });
    await expect(page.locator('html')).toHaveAttribute('lang', 'es');
  });
});
