// What goes wrong in a worker is shown, and the page goes on with the others.
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveSite } from './site.js';
import { gpuBackends, kitOf, rowOf, visit } from './visitor.js';

const path = chromiumPath();

describe('the page, when something goes wrong', () => {
  if (path === undefined) return describeMissing('gpujs-webgl2@chromium', chromiumMissing);

  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium(path);
  });
  afterAll(() => browser?.close());

  it.for(gpuBackends)('shows that %s has lost its device, and goes on', async (name, { skip }) => {
    const site = await serveSite({ inWorker: loseTheDevice });
    const { page, measure, problems } = await visit(
      browser,
      `${site.address}?backends=${name},js&kit=all&shapes=32x10&rounds=2`,
    );
    await measure();
    const row = rowOf(page, name);
    if ((await row.getAttribute('data-available')) === 'no' && !isRequired(`${name}@chromium`))
      skip((await row.textContent())!);

    const kit = kitOf(page, name);
    expect(await kit.locator('.trouble').getAttribute('data-code')).toBe('DEVICE_LOST');
    expect(await kit.locator('.trouble').textContent()).toMatch(
      /✗ DEVICE_LOST in conformance: the device was lost in case '.+'/,
    );
    expect(await kit.getAttribute('data-done')).toBe('false');
    // The cases before it passed; the one that met the loss says nothing about the backend, and is not counted against it.
    expect(Number(await kit.getAttribute('data-passed'))).toBeGreaterThan(0);
    expect(await kit.getAttribute('data-failed')).toBe('0');
    expect(await row.locator('.trouble').first().getAttribute('data-code')).toBe('DEVICE_LOST');

    expect(await kitOf(page, 'js').getAttribute('data-done')).toBe('true');
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    expect(await page.locator('.reasons').textContent()).toContain(`${name} DEVICE_LOST`);
    expect(problems.filter((problem) => !/CONTEXT_LOST|context lost/i.test(problem))).toEqual([]);
    await page.close();
    await site.close();
  });

  it('shows a device that is lost while it is timed', async ({ skip }) => {
    const name = 'gpujs-webgl2';
    const site = await serveSite({ inWorker: loseTheDevice });
    const { page, measure } = await visit(browser, `${site.address}?backends=${name},js&kit=off&shapes=32x10&rounds=9`);
    await measure();
    const row = rowOf(page, name);
    if ((await row.getAttribute('data-available')) === 'no' && !isRequired(`${name}@chromium`))
      skip((await row.textContent())!);
    const trouble = page.locator('section[aria-labelledby=bench-title] .trouble');
    expect(await trouble.getAttribute('data-code')).toBe('DEVICE_LOST');
    expect(await trouble.textContent()).toMatch(/^✗ DEVICE_LOST in speed: /);
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    expect(await page.locator('.reasons').textContent()).toContain(`${name} DEVICE_LOST`);
    await page.close();
    await site.close();
  });

  it('gives up a worker that hangs, and goes on', async () => {
    const site = await serveSite({ inWorker: hang });
    const { page, measure } = await visit(
      browser,
      `${site.address}?backends=gpujs-cpu,js&kit=off&shapes=32x10&rounds=2&patience=2`,
    );
    await measure();
    expect(await rowOf(page, 'gpujs-cpu').locator('.trouble').textContent()).toBe(
      '✗ HUNG in availability: no sign of life for 2 s',
    );
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    await page.close();
    await site.close();
  });

  it('shows that a worker crashed, and goes on', async () => {
    const site = await serveSite({ inWorker: crash });
    const { page, measure } = await visit(
      browser,
      `${site.address}?backends=gpujs-cpu,js&kit=off&shapes=32x10&rounds=2`,
    );
    await measure();
    expect(await rowOf(page, 'gpujs-cpu').locator('.trouble').textContent()).toMatch(
      /^✗ CRASHED in availability: .*out of luck/,
    );
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    await page.close();
    await site.close();
  });

  it('does not time what computes wrong', async ({ skip }) => {
    const site = await serveSite({ inWorker: computeWrong });
    const { page, measure } = await visit(
      browser,
      `${site.address}?backends=gpujs-webgl2&kit=off&shapes=32x10&rounds=2`,
    );
    await measure();
    const row = rowOf(page, 'gpujs-webgl2');
    if ((await row.getAttribute('data-available')) === 'no' && !isRequired('gpujs-webgl2@chromium'))
      skip((await row.textContent())!);
    expect(await page.locator('.answer .name').textContent()).toBe('Nothing');
    expect(await page.locator('.reasons').textContent()).toMatch(/not timed, because its results are wrong: step 1 y/);
    expect(await page.locator('.timings tbody td').count()).toBe(0);
    await page.close();
    await site.close();
  });
});

// What follows runs in the page's workers, before anything of the page does. They are text there: nothing of this file is in reach.

/** A device that goes away in the middle of the kit: at its 200th command. */
function loseTheDevice(): void {
  let commands = 0;
  const isTheLast = () => ++commands === 200;
  for (const { prototype } of [WebGLRenderingContext, WebGL2RenderingContext]) {
    const { drawArrays } = prototype;
    prototype.drawArrays = function (...args) {
      if (isTheLast()) this.getExtension('WEBGL_lose_context')!.loseContext();
      drawArrays.apply(this, args);
    };
  }
  const { GPUAdapter, GPUQueue } = globalThis as never as Record<
    string,
    { prototype: Record<string, (...args: unknown[]) => unknown> }
  >;
  if (!GPUAdapter || !GPUQueue) return;
  const { requestDevice } = GPUAdapter.prototype;
  const { submit } = GPUQueue.prototype;
  let device: { destroy(): void } | undefined;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    device = (await requestDevice!.apply(this, args)) as { destroy(): void };
    return device;
  };
  GPUQueue.prototype.submit = function (...args) {
    if (isTheLast()) device!.destroy();
    return submit!.apply(this, args);
  };
}

function hang(): void {
  addEventListener('message', ({ data }) => {
    while (data.request.backend === 'gpujs-cpu');
  });
}

function crash(): void {
  addEventListener('message', ({ data }) => {
    if (data.request.backend === 'gpujs-cpu') throw new Error('out of luck');
  });
}

/** A device that leaves out commands: enough of them come before that it counts as available. */
function computeWrong(): void {
  let commands = 0;
  const { prototype } = WebGL2RenderingContext;
  const { drawArrays } = prototype;
  prototype.drawArrays = function (...args) {
    if (++commands <= 10) drawArrays.apply(this, args);
  };
}
