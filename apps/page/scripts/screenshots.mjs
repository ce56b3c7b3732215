// `pnpm --filter @batchnorm/page screenshots`: visits the built page in Chromium, and saves four pictures of
// it into docs/images.
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { preview } from 'vite';

const path = chromiumPath();
if (path === undefined) throw new Error(chromiumMissing);
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const query = process.argv[2] ?? '';

const server = await preview({ root, preview: { host: 'localhost' }, logLevel: 'silent' });
const browser = await launchChromium(path);
try {
  const page = await browser.newPage({ viewport: sizes.desktop });
  await page.goto(server.resolvedUrls.local[0] + query);
  await page.getByRole('button', { name: 'Measure this device' }).click();
  await page.locator('.progress[data-state=done]').waitFor({ timeout: 900_000 });
  await shoot(page, 'answer', 'desktop', 'light');
  await shoot(page, 'answer', 'desktop', 'dark');
  await shoot(page, 'answer', 'phone', 'dark');
  await page.goto(`${server.resolvedUrls.local[0]}#playground`);
  await page.getByRole('button', { name: 'Twenty batches' }).click();
  await page.getByText('after 20 batches').first().waitFor();
  await shoot(page, 'playground', 'desktop', 'light');
} finally {
  await browser.close();
  await server.close();
}

/** The first screen. */
async function shoot(page, name, size, colorScheme) {
  await page.setViewportSize(sizes[size]);
  await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
  // Charts are drawn again for another width, a second after the last drawing at most.
  await page.waitForTimeout(1500);
  await page.evaluate(() => scrollTo(0, 0));
  const file = `page-${name}-${size}-${colorScheme}.png`;
  await page.screenshot({ path: folder + file });
  console.log(`${file}: ${Math.ceil((await stat(folder + file)).size / 1000)} kB`);
}
