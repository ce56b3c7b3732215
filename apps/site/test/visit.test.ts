// The site in Chromium: for everybody, in both colour schemes, by itself, and its search finds.
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { served } from './served.js';

const path = chromiumPath();
const main = [
  'index.html',
  'semantics.html',
  'performance.html',
  'packages/core-api.html',
  'api/index.html',
  'api/@batchnorm/core-api/classes/BatchNorm.html',
  'what-runs-best-here.html',
];

describe('the site', () => {
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  const site = served();
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium(path);
  });
  afterAll(() => browser?.close());

  /** Opens a page; `problems` are errors, and requests to other hosts. */
  async function open(file: string, options: Parameters<Browser['newPage']>[0] = {}) {
    const page = await browser.newPage({ reducedMotion: 'reduce', ...options });
    const problems: string[] = [];
    const { host } = new URL(site.address);
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    page.on('request', (request) => new URL(request.url()).host === host || problems.push(request.url()));
    await page.goto(site.address + file, { waitUntil: 'networkidle' });
    return { page, problems };
  }

  for (const colorScheme of ['light', 'dark'] as const) {
    it.for(main)(
      `%s has no accessibility violation in ${colorScheme}, no error, and asks no other host`,
      async (file) => {
        const { page, problems } = await open(file, { colorScheme });
        expect(await violations(page)).toEqual([]);
        expect(problems).toEqual([]);
        await page.close();
      },
    );
  }

  it.for(main)('%s fits a screen of 360 pixels', async (file) => {
    const { page } = await open(file, { viewport: { width: 360, height: 800 } });
    const overflow = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
    expect(await page.evaluate(overflow)).toBeLessThanOrEqual(0);
    await page.close();
  });

  it('finds a heading and an exported name, by keyboard', async () => {
    const { page } = await open('index.html');
    for (const [words, target] of [
      ['tensors that can be disposed', 'semantics.html'],
      ['createMpiCollective', 'createMpiCollective.html'],
    ] as const) {
      await page.keyboard.press('Control+k');
      await page.getByRole('searchbox').fill(words);
      await page.locator('.result').first().waitFor();
      await page.keyboard.press('Enter');
      await page.waitForURL(`**/*${target}*`);
    }
    await page.close();
  });

  it('embeds the page, isolated, so that it measures threads, too', async () => {
    const { page } = await open('what-runs-best-here.html');
    const embedded = page.frameLocator('iframe');
    await embedded.getByRole('button', { name: /^Measure/ }).waitFor();
    expect(await page.frames()[1]!.evaluate(() => crossOriginIsolated)).toBe(true);
    await page.close();
  });
});

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
    return (await axe.run()).violations;
  });
  return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}
