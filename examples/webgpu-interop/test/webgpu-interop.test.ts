// Each library's program in Chromium gives what the same computation gives on the CPU.
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJsBackend } from '@batchnorm/backend-js';
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import { BatchNorm } from '@batchnorm/core-api';
import type { Browser } from 'playwright';
import { build, type PreviewServer, preview } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numFeatures, type Results, shape, signal, target } from '../src/program.js';

const name = 'webgpu@chromium';
const path = chromiumPath();
const root = fileURLToPath(new URL('..', import.meta.url));
const onnxruntime = 'onnxruntime/node_modules/onnxruntime-web/dist';
const onnxruntimeFiles = ['ort.webgpu.bundle.min.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'];

/** The same on the CPU, in float32. */
async function onCpu(): Promise<Results> {
  const layer = new BatchNorm({ backend: createJsBackend(), numFeatures });
  const y = await layer.forward({ data: signal.map((value) => 3 * value + 100), shape });
  const dy = (y.data as Float32Array).map((value, k) => value - target[k]!);
  const { dx } = await layer.backward({ data: dy, shape });
  return { y: y.data as Float32Array, dx: dx.data as Float32Array };
}

describe('a BatchNorm step in the middle of a program of', () => {
  if (path === undefined) {
    describeMissing(name, chromiumMissing);
    return;
  }

  let folder: string;
  let server: PreviewServer;
  let browser: Browser;
  let expected: Results;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'interop-'));
    await build({ root, build: { outDir: folder, emptyOutDir: true } });
    if (existsSync(join(root, onnxruntime))) {
      for (const file of onnxruntimeFiles) await cp(join(root, onnxruntime, file), join(folder, onnxruntime, file));
    }
    server = await preview({ root, build: { outDir: folder }, preview: { host: 'localhost' } });
    browser = await launchChromium(path);
    expected = await onCpu();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it.for(['typegpu', 'tfjs', 'onnxruntime'])('%s gives what it gives on the CPU', async (library, { skip }) => {
    if (library === 'onnxruntime' && !existsSync(join(root, onnxruntime))) {
      skip('ONNX Runtime Web is not installed: pnpm --filter @batchnorm/example-webgpu-interop install:onnxruntime');
    }
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(`${server.resolvedUrls!.local[0]!}?library=${library}`);
    if (!(await page.evaluate(async () => navigator.gpu?.requestAdapter())) && !isRequired(name)) {
      skip('this Chromium has no WebGPU adapter');
    }
    const output = page.locator('output[aria-busy=false]');
    await output.waitFor({ timeout: 120_000 });
    const { error, ...results } = JSON.parse((await output.textContent())!);
    expect(error).toBeUndefined();
    expect(problems).toEqual([]);
    for (const [what, want] of Object.entries(expected)) {
      expect(results[what], what).toHaveLength(want.length);
      const worst = Math.max(...[...want].map((value, k) => Math.abs(results[what][k] - value)));
      expect(worst, what).toBeLessThanOrEqual(1e-6);
    }
    await page.close();
  });
});
