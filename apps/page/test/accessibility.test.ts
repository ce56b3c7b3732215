// Everybody can use it: axe in both views and both colour schemes, the keyboard alone, a narrow screen.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import axe from 'axe-core';
import type { Page } from 'playwright';
import { describe, expect, it } from 'vitest';
import { served } from './served.js';
import { visit } from './visitor.js';

const path = chromiumPath();
const brief = '?backends=js,wasm&kit=all&shapes=32x10&rounds=2';

describe('the page, for everybody', () => {
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  const here = served(path);

  it.for(['light', 'dark'] as const)(
    'has no accessibility violation in %s, before, during and after',
    async (colorScheme) => {
      const { page, measure } = await visit(here.browser, here.site.address + brief, { colorScheme });
      expect(await violations(page)).toEqual([]);
      const ended = measure();
      await page.getByText(/^Checking /).waitFor();
      expect(await violations(page)).toEqual([]);
      await ended;
      await openAll(page);
      expect(await violations(page)).toEqual([]);
      await page.getByRole('link', { name: 'See it work' }).click();
      await page.locator('.chart svg').nth(4).waitFor();
      expect(await violations(page)).toEqual([]);
      await page.close();
    },
  );

  it('can be visited by keyboard alone, with the focus in sight', async () => {
    const { page } = await visit(here.browser, here.site.address + brief);
    await tabTo(page, 'Measure this device');
    await page.keyboard.press('Enter');
    await page.locator('.progress[data-state=running]').waitFor();
    // The button stays where it was, and stops now.
    expect(await focused(page)).toMatchObject({ name: 'Stop' });
    await page.locator('.progress[data-state=done]').waitFor();
    expect(await focused(page)).toMatchObject({ name: 'Measure again' });

    await page.keyboard.press('Control+Home');
    await tabTo(page, 'training-step');
    await page.keyboard.press('ArrowDown');
    expect(await page.locator('.answer select').first().inputValue()).toBe('forward-inference');
    await tabTo(page, 'In exact terms');
    await page.keyboard.press('Enter');
    await page.getByText('forward with the running statistics').waitFor();
    await tabTo(page, 'Download results');
    const download = page.waitForEvent('download');
    await page.keyboard.press('Enter');
    await download;
    await tabTo(page, 'Inference');
    await page.keyboard.press('ArrowLeft');
    expect(await page.locator('.answer select').first().inputValue()).toBe('training-step');
    await tabTo(page, 'What was checked on js');
    await page.keyboard.press('Enter');
    await tabTo(page, 'Every case of js');
    await page.keyboard.press('Enter');
    await page.getByRole('table', { name: 'Every case of js' }).waitFor();

    await page.keyboard.press('Control+Home');
    await tabTo(page, 'See it work', 'Shift+Tab');
    await page.keyboard.press('Enter');
    await tabTo(page, 'gamma');
    await page.keyboard.press('ArrowRight');
    await page.getByText('mean 0.00, deviation 1.10').waitFor();
    await page.close();
  });

  it('fits screens of 360, 390 and 1280 pixels, with everything open', async () => {
    const { page, measure } = await visit(here.browser, here.site.address + brief);
    await measure();
    await openAll(page);
    const overflows = async () => {
      const all: number[] = [];
      for (const width of [360, 390, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        // Charts are drawn again for another width, a second after the last drawing at most.
        await page.waitForTimeout(1200);
        all.push(Math.max(0, await overflow(page)));
      }
      return all;
    };
    expect(await overflows()).toEqual([0, 0, 0]);
    await page.goto(`${here.site.address}#playground`);
    await page.locator('.chart svg').nth(4).waitFor();
    expect(await overflows()).toEqual([0, 0, 0]);
    await page.close();
  });
});

/** Everything that can be opened, and what is in it that can be, too; of two long tables one. */
async function openAll(page: Page): Promise<void> {
  const closed = page.locator('details:not([open]) > summary:visible').filter({ hasNotText: 'Every case of wasm' });
  while ((await closed.count()) > 0) await closed.first().click();
  await page.locator('.cases tr').nth(500).waitFor();
}

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
    // Thousands of cases look alike: the first rows stand for all.
    return (await axe.run({ exclude: [['.cases tbody tr:nth-child(n + 50)']] })).violations;
  });
  return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/** Presses Tab until something of this name, or with this value, has the focus. */
async function tabTo(page: Page, name: string, key = 'Tab'): Promise<void> {
  const passed: string[] = [];
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press(key);
    const { name: here, outline } = await focused(page);
    if (here !== '') expect(outline, here).not.toBe('none');
    if (here === name) return;
    passed.push(here);
  }
  throw new Error(`${name} is not reached: ${passed.join(', ')}`);
}

/** What has the focus. A radio button is drawn by the text beside it, and so is its focus. */
function focused(page: Page): Promise<{ name: string; outline: string }> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement & { value?: string; type?: string };
    if (element === document.body) return { name: '', outline: '' };
    const label = element.closest('label')?.querySelector('span');
    const drawn = element.type === 'radio' ? label! : element;
    const text = (label ?? element.closest('.slider')?.querySelector('label') ?? element).textContent!;
    const own = element.localName === 'select' ? element.value! : text;
    return { name: own.trim(), outline: getComputedStyle(drawn).outlineStyle };
  });
}

function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
