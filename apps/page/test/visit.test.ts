// The first view in real Chromium: a whole visit, with GPUs and without, isolated and not, and what it leaves behind.
import { readFile } from 'node:fs/promises';
import { chromiumMissing, chromiumPath, launchChromium, withoutGpu } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import { runsOf, suite } from '@batchnorm/conformance';
import type { Locator } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backendNames } from '../src/backends.js';
import { served } from './served.js';
import { serveSite } from './site.js';
import { gpuBackends, kitOf, rowOf, type Visitor, visit } from './visitor.js';

const kitSize = runsOf(suite).length;

const path = chromiumPath();
const cpuBackends = backendNames.filter((name) => !gpuBackends.includes(name));

/**
 * Where a processor stands in for the GPU it compiles shaders for minutes, several for each shape. So of those that need
 * one the kit runs here on one alone, which compiles the fastest; on the others it runs in the tests of their package.
 */
const visited = backendNames.filter((name) => cpuBackends.includes(name) || name === 'webgpu');
const timedAlone = gpuBackends.filter((name) => !visited.includes(name));
const operations = ['forward-training', 'forward-inference', 'backward', 'training-step'];

describe('the page, measuring', () => {
  if (path === undefined) {
    for (const name of backendNames) describeMissing(`${name}@chromium`, chromiumMissing);
    return;
  }

  const here = served(path);

  describe('the whole visit, as it is by default', () => {
    let visitor: Visitor;
    beforeAll(async () => {
      visitor = await visit(here.browser, `${here.site.address}?backends=${visited}`);
      await visitor.measure();
    }, 900_000);
    afterAll(() => visitor?.page.close());

    it.for(visited)('finds %s, checks every case of the kit, and times every shape', async (name, { skip }) => {
      const { page } = visitor;
      const row = rowOf(page, name);
      if ((await row.getAttribute('data-available')) !== 'yes' && !isRequired(`${name}@chromium`)) {
        skip((await row.textContent()) ?? '');
      }
      expect(await row.getAttribute('data-available')).toBe('yes');
      expect(await row.locator('.trouble').allTextContents()).toEqual([]);

      const kit = kitOf(page, name);
      expect(await kit.getAttribute('data-done')).toBe('true');
      await expectConforming(kit);
      expect(await kit.locator('.accuracy').textContent()).toMatch(/^at most 0\.\d{4} × bound, float32 \S+ ulp/);

      for (const operation of operations) expect(await timesOf(visitor, name, operation), operation).toBe(3);
    });

    it('recommends the fastest, with three lines of code, for each operation and shape that is chosen', async () => {
      const { page } = visitor;
      const report = await reportOf(visitor);
      const answer = page.locator('.answer');
      for (const { shape, operation, ranking } of report.recommendations) {
        const medians = ranking.map(({ time }) => time.median);
        expect(medians).toEqual(medians.toSorted((a, b) => a - b));
        await answer.locator('select').nth(0).selectOption(operation);
        await answer.locator('select').nth(1).selectOption(shape.join('×'));
        expect(await answer.getAttribute('data-backend')).toBe(ranking[0]!.backend);
        const code = await answer.locator('code').allTextContents();
        expect(code).toHaveLength(3);
        expect(code[2]).toContain(`numFeatures: ${shape[1]} });`);
      }
    });

    it('asks no other host for anything, and nothing goes wrong', () => {
      // blob: and data: addresses have no host.
      expect([...visitor.hosts].filter((host) => host !== '')).toEqual([new URL(here.site.address).host]);
      expect(visitor.problems).toEqual([]);
    });

    it('says that it is cross-origin isolated, and uses threads', async () => {
      expect(await visitor.page.locator('.facts').first().textContent()).toContain('cross-origin isolatedyes');
    });

    it('copies a Markdown summary without links', async () => {
      const { page } = visitor;
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.getByRole('button', { name: 'Copy summary' }).click();
      await page.getByText('copied').waitFor();
      const summary = await page.evaluate(() => navigator.clipboard.readText());
      for (const name of visited) expect(summary).toContain(`| ${name} |`);
      expect(summary).toMatch(/\| js \| \d+ pass/);
      expect(summary).toMatch(/\| gpujs-cpu \| \d+ pass, \d+ refused [^|]*DTYPE\\_MISMATCH/);
      expect(summary).not.toContain('FAIL');
      expect(summary).not.toMatch(/https?:|\]\(|<a /);
    });
  });

  it.for(timedAlone)('times %s without the kit, too', async (name, { skip }) => {
    const visitor = await visit(here.browser, `${here.site.address}?backends=${name}&kit=off&shapes=64x16&rounds=2`);
    await visitor.measure();
    const row = rowOf(visitor.page, name);
    if ((await row.getAttribute('data-available')) !== 'yes' && !isRequired(`${name}@chromium`)) {
      skip((await row.textContent()) ?? '');
    }
    expect(await row.getAttribute('data-available')).toBe('yes');
    expect(await row.locator('.trouble').allTextContents()).toEqual([]);
    for (const operation of operations) expect(await timesOf(visitor, name, operation), operation).toBe(1);
    expect(visitor.problems).toEqual([]);
    await visitor.page.close();
  });

  it('works without a GPU and without isolation, and says why what is not there is not', async () => {
    const plain = await serveSite({ isolated: false });
    const bare = await launchChromium(path, withoutGpu);
    const { page, problems, measure, hosts } = await visit(bare, `${plain.address}?shapes=64x16&rounds=2`);
    await measure();
    for (const name of gpuBackends) {
      const row = rowOf(page, name);
      expect(await row.getAttribute('data-available')).toBe('no');
      expect(await row.textContent()).toMatch(
        /received mode '\w+', expected one that runs here: it needs a browser with Web|received no WebGPU device, expected one: there is no adapter/,
      );
      expect(await row.locator('.trouble').count()).toBe(0);
    }
    for (const name of cpuBackends) {
      await expectConforming(kitOf(page, name));
    }
    expect(await page.locator('.facts').first().textContent()).toContain('cross-origin isolatedno');
    expect(cpuBackends).toContain(await page.locator('.answer').getAttribute('data-backend'));
    await page.getByText(`Why not the other ${gpuBackends.length}`).click();
    expect(await page.locator('.reasons li').allTextContents()).toHaveLength(gpuBackends.length);
    expect([...hosts].filter((host) => host !== '')).toEqual([new URL(plain.address).host]);
    // That WebGL is not there is what Chromium says on the console, too.
    expect(problems.filter((problem) => !/WebGL|GPU/.test(problem))).toEqual([]);
    await bare.close();
    await plain.close();
  });

  it('has nothing to recommend where nothing works', async () => {
    const bare = await launchChromium(path, withoutGpu);
    const { page, measure } = await visit(bare, `${here.site.address}?backends=gpujs-webgl2,gpujs-webgpu&shapes=32x10`);
    await measure();
    expect(await page.locator('.answer .name').textContent()).toBe('Nothing');
    expect(await page.locator('.reasons li').allTextContents()).toHaveLength(2);
    await bare.close();
  });

  it('measures what its address asks for, and says in its address what is chosen', async () => {
    const { page, measure, problems } = await visit(
      here.browser,
      `${here.site.address}?backends=js&kit=off&shapes=32x10&rounds=3`,
    );
    await measure();
    const report = await reportOf({ page });
    expect(report.settings).toMatchObject({ backends: ['js'], kit: false, shapes: [[32, 10]], rounds: 3 });
    expect(report.complete).toBe(true);
    const [js] = report.backends;
    expect(js!.timings.map(({ seconds }) => seconds.length)).toEqual([3, 3, 3, 3]);
    expect(js!.verified['32×10']!.worst).toBeLessThan(1);

    await page.getByRole('button', { name: 'Ask selectBackend' }).click();
    await page.getByText(/^takes js, too: \d\S* (µs|ms|s) a call, found in/).waitFor();

    await page.getByText('What is measured').click();
    await page.getByRole('checkbox', { name: 'gpujs-cpu' }).check();
    await page.getByRole('textbox').fill('4x3x5');
    await page.getByRole('textbox').press('Tab');
    expect(new URL(page.url()).search).toBe('?backends=js,gpujs-cpu&kit=off&shapes=32x10,4x3x5&rounds=3');
    await page.getByRole('textbox').fill('4x3x');
    await page.getByRole('textbox').press('Tab');
    expect(await page.getByRole('alert').textContent()).toMatch(/received shape '4x3x', expected two or more sizes/);
    expect(new URL(page.url()).search).toContain('shapes=32x10,4x3x5');
    expect(problems).toEqual([]);
    await page.close();
  });

  it('stops when it is told to, keeps what it has found, and starts again', async () => {
    const { page, measure } = await visit(here.browser, `${here.site.address}?backends=js&shapes=32x10&rounds=1`);
    await page.getByRole('button', { name: 'Measure this device' }).click();
    await kitOf(page, 'js').locator('.cells .passed').nth(20).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.locator('.progress[data-state=stopped]').waitFor();
    expect(await kitOf(page, 'js').getAttribute('data-done')).toBe('false');
    expect(await page.locator('.reasons').textContent()).toMatch(/js not checked to the end/);
    await measure();
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    await page.close();
  });
});

/** How many times of a backend the table shows for an operation. */
async function timesOf({ page }: Visitor, name: string, operation: string): Promise<number> {
  await page.getByRole('radio', { name: operation }).check({ force: true });
  const times = page
    .locator('.timings tr')
    .filter({ has: page.locator('th[scope=row]', { hasText: new RegExp(`^${name}$`) }) });
  return times.count();
}

/** A cell for each case, none of them failed; and above them how many passed, were refused and skipped. */
async function expectConforming(kit: Locator): Promise<void> {
  const numberOf = (selector: string) => kit.locator(`.cells ${selector}`).count();
  expect(await numberOf('i')).toBe(kitSize);
  const counts = { passed: 0, refused: 0, skipped: 0 };
  for (const status of ['passed', 'refused', 'skipped'] as const) counts[status] = await numberOf(`.${status}`);
  expect(counts.passed + counts.refused + counts.skipped).toBe(kitSize);
  const title = await kit.locator('h3').textContent();
  expect(title).toContain(`✓ ${counts.passed} pass`);
  expect(title!.includes('⊘')).toBe(counts.refused > 0);
  if (counts.refused > 0) expect(title).toMatch(new RegExp(`⊘ ${counts.refused} refused .*[A-Z]{4}`));
  if (counts.skipped > 0) expect(title).toContain(`– ${counts.skipped} skip`);
  expect(title).not.toContain('✗');
}

interface Report {
  readonly complete: boolean;
  readonly settings: object;
  readonly backends: readonly {
    readonly timings: readonly { readonly seconds: readonly number[] }[];
    readonly verified: Readonly<Record<string, { readonly worst: number }>>;
  }[];
  readonly recommendations: readonly {
    readonly shape: readonly number[];
    readonly operation: string;
    readonly ranking: readonly { readonly backend: string; readonly time: { readonly median: number } }[];
  }[];
}

/** What the button downloads. */
async function reportOf({ page }: Pick<Visitor, 'page'>): Promise<Report> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download JSON' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe('batchnorm.json');
  return JSON.parse(await readFile(await download.path(), 'utf8'));
}
