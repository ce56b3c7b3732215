// Pages that forbid themselves `eval` and WebAssembly: shaders are text, but no script.
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import { batchOf, exactOf, largestError } from '@batchnorm/testing/batches';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const name = 'webgpu@chromium';
const path = chromiumPath();
const batch = batchOf([50, 6], { mean: 3 });

const page = '<!doctype html><title>strict</title><script type="module" src="/step.mjs"></script><body></body>';
/** Addresses in place of packages' names: an import map would be an inline script, which the policy forbids, too. */
const withAddresses = (script: string) =>
  script
    .replace(/'@batchnorm\/([a-z-]+)'/g, "'/$1/index.js'")
    .replace(/'@batchnorm\/([a-z-]+)\/([a-z0-9-]+)'/g, "'/$1/$2.js'");
const folders: Readonly<Record<string, URL>> = {
  'step.mjs': new URL('step.mjs', import.meta.url),
  'core-api': new URL('../../../core-api/dist/', import.meta.url),
  'backend-webgpu': new URL('../../dist/', import.meta.url),
};

/** What the page gets at this address: type and text. */
async function served(address: string): Promise<readonly [string, string]> {
  if (address === '/') return ['text/html', page];
  const { x, dy } = batch;
  if (address === '/batch.json') {
    return ['application/json', JSON.stringify({ x: [...x.data], dy: [...dy.data], shape: x.shape })];
  }
  const [folder, ...rest] = address.slice(1).split('/');
  const script = await readFile(new URL(rest.join('/'), folders[folder!]), 'utf8');
  return ['text/javascript', withAddresses(script)];
}

describe("on a page whose policy is default-src 'self'", () => {
  if (path === undefined) {
    describeMissing(name, chromiumMissing);
    return;
  }

  let server: Server;
  beforeAll(async () => {
    server = createServer((request, response) => {
      response.setHeader('Content-Security-Policy', "default-src 'self'");
      served(request.url!).then(
        ([type, text]) => response.setHeader('Content-Type', type).end(text),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((listening) => server.listen(0, 'localhost', listening));
  });
  afterAll(() => server?.close());

  it('trains a step, without a violation', async ({ skip }) => {
    const browser = await launchChromium(path);
    try {
      const tab = await browser.newPage();
      const failed = new Promise<never>((_, reject) => tab.on('pageerror', reject));
      failed.catch(() => undefined);
      await tab.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
      const body = tab.locator('body[data-outcome]');
      const attribute = await Promise.race([body.getAttribute('data-outcome', { timeout: 120_000 }), failed]);
      const outcome = JSON.parse(attribute!);
      if (outcome.code === 'BACKEND_UNAVAILABLE' && !isRequired(name)) skip(outcome.message);
      const { y, dx, ofStep, evaluated } = outcome;
      expect(ofStep, outcome.message).toEqual([]);
      // The policy is in force.
      expect(evaluated).toBe('EvalError');
      const exact = exactOf(batch);
      expect(largestError(y, exact.y)).toBeLessThan(1e-6);
      expect(largestError(dx, exact.dx)).toBeLessThan(1e-6 * Math.max(...exact.invStd));
    } finally {
      await browser.close();
    }
  });
});
