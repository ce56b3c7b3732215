// The second view in real Chromium: what is shown is what the layer computes.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import type { Page } from 'playwright';
import { beforeAll, describe, expect, it } from 'vitest';
import { served } from './served.js';
import { visit } from './visitor.js';

const path = chromiumPath();

describe('the page, playing', () => {
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  const here = served(path);
  let page: Page;
  let problems: string[];
  beforeAll(async () => {
    ({ page, problems } = await visit(here.browser, `${here.site.address}#playground`));
  });

  const slide = (name: string, value: number) => page.getByRole('slider', { name }).fill(String(value));
  const fact = async (term: string) => {
    const text = await page
      .locator('.facts div')
      .filter({ has: page.getByText(term, { exact: true }) })
      .locator('dd')
      .textContent();
    return Number(text!.replace('−', '-'));
  };

  it('gives y the mean beta and the deviation |gamma|, wherever the batch lies', async () => {
    for (const [mean, deviation, gamma, beta] of [
      [4, 2, 1, 0],
      [-6, 0.5, 2, 3],
      [0, 3, -1.5, -4],
    ] as const) {
      await slide('mean of x', mean);
      await slide('deviation of x', deviation);
      await slide('gamma', gamma);
      await slide('beta', beta);
      const text = `mean ${beta.toFixed(2).replace('-', '−')}, deviation ${Math.abs(gamma).toFixed(2)}`;
      await page.locator('figcaption', { hasText: 'y, after' }).getByText(text).waitFor();
    }
  });

  it('gives y the value beta where all values are the same', async () => {
    await slide('deviation of x', 0);
    await slide('beta', 2);
    await page.locator('figcaption', { hasText: 'y, after' }).getByText('mean 2.00, deviation 0.00').waitFor();
  });

  it('lets running statistics converge to the distribution, and follow it', async () => {
    await slide('mean of x', 4);
    await slide('deviation of x', 2);
    await slide('momentum', 0.5);
    const running = async (name: string, batches: number) => {
      const text = await page
        .locator('figcaption', { hasText: `running ${name}` })
        .getByText(`after ${batches} batches`)
        .textContent();
      return Number.parseFloat(text!);
    };
    await page.getByRole('button', { name: 'Twenty batches' }).click();
    expect(await running('mean', 20)).toBeCloseTo(4, 0);
    expect(await running('variance', 20)).toBeGreaterThan(3);
    await slide('mean of x', 1);
    await page.getByRole('button', { name: 'Twenty batches' }).click();
    expect(await running('mean', 40)).toBeCloseTo(1, 0);
    await page.getByRole('button', { name: 'Start again' }).click();
    expect(await running('mean', 0)).toBe(0);
  });

  it('shows gradients from which the mean, and what grows with x, is taken out', async () => {
    await slide('gamma', 2);
    await slide('which value', 17);
    await expect.poll(() => fact('dbeta')).toBe(-1);
    expect(await fact('Σ dx')).toBeCloseTo(0, 3);
    expect(await fact('Σ dx · xHat')).toBeCloseTo(0, 3);
    expect(await page.locator('figure', { hasText: 'dx by x' }).locator('circle').count()).toBe(24);

    await page.getByRole('combobox').selectOption('every value to 0');
    await slide('beta', 1);
    // dy = y, so that dgamma = Σ y · xHat = N · gamma, and dbeta = Σ y = N · beta.
    await expect.poll(() => fact('dbeta')).toBeCloseTo(24, 3);
    expect(await fact('dgamma')).toBeCloseTo(48, 2);
  });

  it('has had no problem', () => expect(problems).toEqual([]));
});
