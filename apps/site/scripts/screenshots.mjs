// `pnpm --filter @batchnorm/site screenshots [FOLDER]`: what the built site looks like, into report/site of the repository.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { preview } from 'vite';

const path = chromiumPath();
if (path === undefined) throw new Error(chromiumMissing);
const folder = process.argv[2] ?? fileURLToPath(new URL('../../../report/site', import.meta.url));
const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const pages = {
  start: 'index.html',
  guide: 'semantics.html',
  reference: 'api/index.html',
  class: 'api/@batchnorm/core-api/classes/BatchNorm.html',
  page: 'what-runs-best-here.html',
};

await mkdir(folder, { recursive: true });
const server = await preview({ root: fileURLToPath(new URL('..', import.meta.url)), logLevel: 'silent' });
const browser = await launchChromium(path);
try {
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await browser.newPage({ viewport, colorScheme, reducedMotion: 'reduce' });
      for (const [name, file] of Object.entries(pages)) {
        await page.goto(server.resolvedUrls.local[0] + file, { waitUntil: 'networkidle' });
        await page.screenshot({ path: join(folder, `${name}-${size}-${colorScheme}.png`) });
      }
      await page.close();
    }
  }
} finally {
  await browser.close();
  await server.close();
}
