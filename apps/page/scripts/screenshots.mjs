// `pnpm --filter @batchnorm/page screenshots`: visits the built page in Chromium, and saves what it looks like into docs/images.
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { preview } from 'vite';

const path = chromiumPath();
if (path === undefined) throw new Error(chromiumMissing);
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const query = process.argv[2] ?? '';

const server = await preview({ root, preview: { host: 'localhost' }, logLevel: 'silent' });
const browser = await launchChromium(path);
try {
  const page = await browser.newPage({ viewport: sizes.desktop });
  await page.goto(server.resolvedUrls.local[0] + query);
  await page.getByRole('button', { name: 'Measure this device' }).click();
  await page.locator('.progress[data-state=done]').waitFor({ timeout: 900_000 });
  await shoot(page, 'answer');
  await shoot(page, 'conformance', 'section[aria-labelledby=kit-title]');
  await shoot(page, 'speed', 'section[aria-labelledby=bench-title]');
  await page.goto(`${server.resolvedUrls.local[0]}#playground`);
  await page.getByRole('button', { name: 'Twenty batches' }).click();
  await page.getByText('after 20 batches').first().waitFor();
  await shoot(page, 'playground', 'body');
} finally {
  await browser.close();
  await server.close();
}

/** The first screen, or a part of the page with some room around it; in both schemes and sizes. */
async function shoot(page, name, part) {
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      // Charts are drawn again for another width, a second after the last drawing at most.
      await page.waitForTimeout(1500);
      await page.evaluate(() => scrollTo(0, 0));
      const file = `page-${name}-${size}-${colorScheme}.png`;
      await page.screenshot({ path: folder + file, ...(part && { fullPage: true, clip: await around(page, part) }) });
      console.log(`${file}: ${Math.ceil((await stat(folder + file)).size / 1000)} kB`);
    }
  }
}

async function around(page, part) {
  const { y, height } = await page.locator(part).boundingBox();
  const room = 24;
  const top = Math.max(0, y - room);
  return { x: 0, y: top, width: page.viewportSize().width, height: y + height + room - top };
}
