// The built page in Chromium: three workers give what one layer gives on all rows.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJsBackend } from '@batchnorm/backend-js';
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import { BatchNorm } from '@batchnorm/core-api';
import { build, preview } from 'vite';
import { expect, it, onTestFinished } from 'vitest';
import type { Normalised } from '../src/share.js';

const path = chromiumPath();

if (path === undefined) describeMissing('js@chromium', chromiumMissing);
else {
  it('normalises rows of three workers as one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'page-workers-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const root = fileURLToPath(new URL('..', import.meta.url));
    await build({ root, build: { outDir: folder, emptyOutDir: true } });
    const server = await preview({ root, build: { outDir: folder }, preview: { host: 'localhost' } });
    onTestFinished(() => server.close());
    const browser = await launchChromium(path);
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(server.resolvedUrls!.local[0]!);
    const text = await page.locator('pre[aria-busy=false]').textContent();
    const ranks: readonly Normalised[] = JSON.parse(text!);

    const rows = [1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60];
    const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: 2, dtype: 'float64', momentum: 0 });
    const y = await layer.forward({ data: Float64Array.from(rows), shape: [6, 2] });
    const close = (values: Iterable<number>) => Array.from(values, (value) => expect.closeTo(value, 12));
    expect(ranks.flatMap(({ y }) => y)).toEqual(close(y.data));
    for (const { runningMean, runningVariance } of ranks) {
      expect([runningMean, runningVariance]).toEqual([ranks[0]!.runningMean, ranks[0]!.runningVariance]);
      expect(runningMean).toEqual(close(layer.runningMean));
      expect(runningVariance).toEqual(close(layer.runningVariance));
    }
  });
}
