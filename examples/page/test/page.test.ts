// The production build, minified, on a static file server and in Chromium: gpu.js reads kernels with Function.toString(), so that a
// minifier could break what works unbundled.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import type { Browser, Locator, Page } from 'playwright';
import { build, type PreviewServer, preview } from 'vite';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { dy, numFeatures, type TrainingStep, x } from '../src/training-step.js';

const path = chromiumPath();
const modes = ['cpu', 'webasm', 'webgl', 'webgl2', 'webgpu'];

/** What the page must show, by the formulas, in float64. */
function expected(): Record<keyof TrainingStep, number[]> {
  const rows = x.length / numFeatures;
  const column = (values: ArrayLike<number>, c: number) =>
    Array.from({ length: rows }, (_, row) => values[row * numFeatures + c]!);
  const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / rows;
  const features = Array.from({ length: numFeatures }, (_, c) => {
    const [values, upstream] = [column(x, c), column(dy, c)];
    const mean = meanOf(values);
    const variance = meanOf(values.map((value) => (value - mean) ** 2));
    const scale = 1 / Math.sqrt(variance + 1e-5);
    const y = values.map((value) => (value - mean) * scale);
    const [slope, offset] = [meanOf(upstream.map((g, row) => g * y[row]!)), meanOf(upstream)];
    const dx = upstream.map((g, row) => scale * (g - offset - y[row]! * slope));
    return { mean, variance, y, dx, dgamma: slope * rows, dbeta: offset * rows };
  });
  const rowMajor = (name: 'y' | 'dx') =>
    Array.from({ length: rows }, (_, row) => features.map((feature) => feature[name][row]!)).flat();
  return {
    y: rowMajor('y'),
    dx: rowMajor('dx'),
    dgamma: features.map(({ dgamma }) => dgamma),
    dbeta: features.map(({ dbeta }) => dbeta),
    'running mean': features.map(({ mean }) => 0.1 * mean),
    'running variance': features.map(({ variance }) => 0.9 + 0.1 * variance),
  };
}

describe('the built page', () => {
  if (path === undefined) {
    for (const name of ['js', ...modes.map((mode) => `gpujs-${mode}`)])
      describeMissing(`${name}@chromium`, chromiumMissing);
    return;
  }

  let folder: string;
  let server: PreviewServer;
  let browser: Browser;
  beforeAll(async () => {
    vi.stubEnv('NODE_ENV', 'production');
    folder = await mkdtemp(join(tmpdir(), 'page-'));
    const root = fileURLToPath(new URL('..', import.meta.url));
    await build({ root, build: { outDir: folder, emptyOutDir: true } });
    server = await preview({ root, build: { outDir: folder }, preview: { host: 'localhost' } });
    browser = await launchChromium(path);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const address = () => server.resolvedUrls!.local[0]!;

  async function open(mode: string): Promise<{ page: Page; problems: string[]; hosts: Set<string> }> {
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    const [problems, hosts] = [[] as string[], new Set<string>()];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('response', (response) => response.ok() || problems.push(`${response.status()} ${response.url()}`));
    page.on('request', (request) => hosts.add(new URL(request.url()).host));
    await page.goto(`${address()}?mode=${mode}`);
    await page.locator('section[aria-busy=false]').nth(1).waitFor();
    return { page, problems, hosts };
  }

  async function expectNumbers(section: Locator): Promise<void> {
    for (const [name, want] of Object.entries(expected())) {
      const values = section.locator(`[data-result="${name}"] data`);
      const got = (await values.evaluateAll((all) => all.map((data) => (data as HTMLDataElement).value))).map(Number);
      expect(got, name).toHaveLength(want.length);
      for (const [i, value] of want.entries())
        expect(Math.abs(got[i]! - value), name).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
    }
  }

  it('shows the right numbers in plain JavaScript, and asks no other host for anything', async () => {
    const { page, problems, hosts } = await open('auto');
    await expectNumbers(page.locator('section').nth(0));
    // data: and blob: addresses have no host.
    expect([...hosts].filter((host) => host !== '')).toEqual([new URL(address()).host]);
    expect(problems).toEqual([]);
    await page.close();
  });

  it.for(['auto', ...modes])('shows the right numbers on gpu.js, mode %s', async (mode, { skip }) => {
    const { page, problems } = await open(mode);
    const section = page.locator('section').nth(1);
    const [error] = await section.locator('.error').allTextContents();
    if (error?.includes('BACKEND_UNAVAILABLE') && !isRequired(`gpujs-${mode}@chromium`)) skip(error);
    expect(error).toBeUndefined();
    await expectNumbers(section);
    expect(await section.locator('dd').first().textContent()).toMatch(/\S/);
    expect(problems).toEqual([]);
    await page.close();
  });
});
