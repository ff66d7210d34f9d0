import { randomUUID } from 'node:crypto';

import { type Shopper, expect, story } from './shopper';

/** Creates a product, which opens its page. */
async function createProduct(manager: Shopper, sku: string, title: string): Promise<void> {
  await manager.page.goto('/staff/catalogue');
  await manager.main.getByText('New product').click();
  await manager.main.getByLabel('In which category').selectOption('tea');
  await manager.main.getByRole('button', { name: 'Begin' }).click();
  await expect(manager.heading('New product: Tea')).toBeVisible();
  const fields = {
    SKU: sku,
    'Title in English': title,
    'Title in Spanish': `${title}, en español`,
    'Description in English': 'It grows above the clouds.',
    'Description in Spanish': 'Crece sobre las nubes.',
    Price: '12.50',
  };
  for (const [label, value] of Object.entries(fields)) {
    await manager.main.getByLabel(label, { exact: true }).fill(value);
  }
  await save(manager);
}

/** Saves the form and waits for the response. */
async function save({ main, page }: Shopper): Promise<void> {
  const answered = page.waitForResponse((response) => response.request().method() === 'POST');
  await main.getByRole('button', { name: 'Save' }).click();
  await answered;
}

function newSku(): string {
  return `STORY-${randomUUID().slice(0, 8)}`.toUpperCase();
}

story('a catalogue manager searches for a product', async ({ staff }) => {
  const { main, page } = await staff('catalogue-manager');
  await page.goto('/staff/catalogue');
  await main.getByRole('searchbox').fill('ferryman');
  await main.getByRole('button', { name: 'Find' }).click();
  await expect(page).toHaveURL(/\/staff\/catalogue\?q=ferryman/);
  await expect(main.getByRole('link', { name: /Ferryman/ }).first()).toBeVisible();
});

story('a product is created, stocked and sold', async ({ shopper, staff }) => {
  const manager = await staff('catalogue-manager');
  const sku = newSku();
  await createProduct(manager, sku, 'Cloud tea');
  await expect(manager.main.getByText('It is saved, and in the shop.')).toBeVisible();

  const stock = manager.main.getByRole('region', { name: 'Stock' });
  await stock.getByLabel('How many more').fill('a few');
  await stock.getByLabel('Reason').fill('A pallet has arrived.');
  await stock.getByRole('button', { name: 'Change the stock' }).click();
  await expect(stock.getByLabel('How many more')).toHaveAccessibleDescription(/whole number/);
  await stock.getByLabel('How many more').fill('5');
  await stock.getByRole('button', { name: 'Change the stock' }).click();
  await expect(stock.getByText('5 can be ordered now.')).toBeVisible();
  await expect(stock.getByText('+5 (0 → 5)')).toBeVisible();

  await shopper.page.goto(`/products/${sku}`);
  await expect(shopper.heading('Cloud tea')).toBeVisible();
  await expect(shopper.main.getByText('€12.50').first()).toBeVisible();

  await manager.main.getByText('Take it out of the catalogue').click();
  await manager.main.getByRole('button', { name: 'Take it out now' }).click();
  await expect(manager.main.getByText('It is out of the catalogue.')).toBeVisible();
  expect((await shopper.page.goto(`/products/${sku}`))?.status()).toBe(404);
});

story('the second of two concurrent changes is refused and keeps its input', async ({ staff }) => {
  const [first, second] = [await staff('catalogue-manager'), await staff('administrator')];
  const sku = newSku();
  await createProduct(first, sku, 'Mist tea');
  await expect(first.main.getByText('It is saved, and in the shop.')).toBeVisible();

  await second.page.goto(`/staff/catalogue/${sku}`);
  await first.main.getByLabel('Price').fill('13.00');
  await save(first);
  await expect(first.main.getByText('It is saved, and in the shop.')).toBeVisible();
  await expect(first.main.getByLabel('Price')).toHaveValue('13.00');

  await second.main.getByLabel('Title in English').fill('Fog tea');
  await save(second);
  await expect(second.main.getByRole('alert')).toContainText('Somebody else has changed it');
  await expect(second.main.getByRole('row', { name: /^price/ })).toContainText('13.00');
  await expect(second.main.getByLabel('Title in English')).toHaveValue('Fog tea');
  await save(second);
  await expect(second.main.getByText('It is saved, and in the shop.')).toBeVisible();
  await expect(second.heading('Fog tea')).toBeVisible();
});

story('an invalid product is refused at its fields', async ({ staff }) => {
  const manager = await staff('catalogue-manager');
  await createProduct(manager, 'no sku', '');
  await expect(manager.main.getByRole('alert')).toContainText('It was not saved');
  await expect(manager.main.getByLabel('SKU')).toHaveAccessibleDescription(/capital letters/);
  await manager.main.getByLabel('SKU').fill(newSku());
  await manager.main.getByLabel('Price').fill('free');
  await save(manager);
  const title = manager.main.getByLabel('Title in English');
  await expect(title).toHaveAccessibleDescription(/on one line/);
  const price = manager.main.getByLabel('Price');
  await expect(price).toHaveAccessibleDescription(/above zero/);
  await expect(price).toHaveValue('free');
});

const HEADER =
  'sku,category,title.en,title.es,description.en,description.es,price.cents,price.currency';

function file(...rows: string[]) {
  const buffer = Buffer.from([HEADER, ...rows].join('\r\n'));
  return { name: 'products.csv', mimeType: 'text/csv', buffer };
}

/** Selects the file and imports it. */
async function importFile({ main, page }: Shopper, upload: ReturnType<typeof file>): Promise<void> {
  await page.goto('/staff/catalogue/import');
  await main.getByLabel('File').setInputFiles(upload);
  await main.getByRole('button', { name: 'Import', exact: true }).click();
}

function expectCount({ main }: Shopper, what: string, count: number) {
  const counts = main.getByRole('status');
  return expect(counts).toContainText(new RegExp(`${what}\\s*${count}`), { timeout: 30_000 });
}

for (const javaScriptEnabled of [true, false]) {
  story.describe(javaScriptEnabled ? 'with JavaScript' : 'without JavaScript', () => {
    story.use({ javaScriptEnabled });

    story(
      'a file creates products and reports the errors of the other rows',
      async ({ shopper }) => {
        await shopper.signIn('catalogue-manager');
        const [good, bad] = [newSku(), newSku()];
        await importFile(
          shopper,
          file(
            `${good},tea,Cloud tea,Té de nubes,"It is green, and mild.",Es verde.,1250,EUR`,
            `${bad},tea,=1+1,Té de nubes,It is green.,Es verde.,0,EUR`,
          ),
        );
        await expectCount(shopper, 'Made', 1);
        await expectCount(shopper, 'Refused', 1);
        const row = shopper.main.getByRole('row', { name: bad });
        await expect(row).toContainText('title.en');
        await expect(row).toContainText('3');
        await shopper.page.goto(`/staff/catalogue/${good}`);
        await expect(shopper.heading('Cloud tea')).toBeVisible();
        expect((await shopper.page.goto(`/staff/catalogue/${bad}`))?.status()).toBe(404);

        const latin = Buffer.from(`${HEADER}\n${good},tea,T\xe9`, 'latin1');
        await importFile(shopper, { ...file(), buffer: latin });
        const chosen = shopper.main.getByLabel('File');
        await expect(chosen).toHaveAccessibleDescription(/not in UTF-8/);
      },
    );
  });
}

story('importing the exported file changes nothing', async ({ staff }) => {
  const manager = await staff('catalogue-manager');
  await manager.page.goto('/staff/catalogue/import');
  const downloading = manager.page.waitForEvent('download');
  await manager.main.getByRole('link', { name: 'Download the products' }).click();
  const path = await (await downloading).path();
  await manager.main.getByLabel('File').setInputFiles(path);
  await manager.main.getByLabel('Only say what would be done').check();
  await manager.main.getByRole('button', { name: 'Import', exact: true }).click();
  const heading = manager.main.getByRole('heading', { name: 'What would be done' });
  await expect(heading).toBeVisible({ timeout: 30_000 });
  await expect(manager.main.getByRole('progressbar')).toHaveCount(0, { timeout: 60_000 });
  const counts = manager.main.getByRole('status');
  await expect(counts).toContainText(/Made\s*0\s*Changed\s*0\s*As it was\s*1,\d{3}\s*Refused\s*0/);
});
