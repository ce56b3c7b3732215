// The first view in real Chromium: a whole visit, with GPUs and without, isolated and not, and what it leaves behind.
import { readFile } from 'node:fs/promises';
import { chromiumMissing, chromiumPath, launchChromium, withoutGpu } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import { runsOf, suite } from '@batchnorm/conformance';
import { type Operation, operations } from '@batchnorm/select';
import type { Locator, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backendNames } from '../src/backends.js';
import { operationWords, shapeWords } from '../src/words.js';
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

describe('the page, measuring', () => {
  if (path === undefined) {
    for (const name of backendNames) describeMissing(`${name}@chromium`, chromiumMissing);
    return;
  }

  const here = served(path);

  describe('the whole visit, of every backend in full', () => {
    let visitor: Visitor;
    beforeAll(async () => {
      visitor = await visit(here.browser, `${here.site.address}?backends=${visited}&kit=all`);
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
      await kit.locator('summary').first().click();
      await kit.getByText(/^In exact terms: at most 0\.\d{4} × bound, float32 \S+ ulp/).waitFor();

      for (const operation of operations) expect(await timesOf(visitor, name, operation), operation).toBe(3);
    });

    it('recommends the fastest, with the code, for each operation and shape that is chosen', async () => {
      const { page } = visitor;
      const report = await reportOf(visitor);
      const answer = page.locator('.answer');
      for (const { shape, operation, ranking } of report.recommendations) {
        const medians = ranking.map(({ time }) => time.median);
        expect(medians).toEqual(medians.toSorted((a, b) => a - b));
        await answer.locator('select').nth(0).selectOption(operation);
        await answer
          .locator('select')
          .nth(1)
          .selectOption({ label: shapeWords(shape) });
        expect(await answer.getAttribute('data-backend')).toBe(ranking[0]!.backend);
        const code = (await answer.locator('code').allTextContents()).join('\n');
        expect(code).toContain('npm install batchnorm');
        expect(code).toContain("import { createBatchNorm } from 'batchnorm';");
        expect(code).toContain(`numFeatures: ${shape[1]},`);
      }
      expect(await answer.locator('.certainty').textContent()).toMatch(/^✓ Timed 7 times, right in all \d+ checks\.$/);
    });

    it('asks no other host for anything, and nothing goes wrong', () => {
      // blob: and data: addresses have no host.
      expect([...visitor.hosts].filter((host) => host !== '')).toEqual([new URL(here.site.address).host]);
      expect(visitor.problems).toEqual([]);
    });

    it('says that it is cross-origin isolated, and uses threads', async () => {
      expect(await visitor.page.locator('.facts').first().textContent()).toContain(
        'allowed: this page is cross-origin isolated',
      );
    });

    it('copies a Markdown summary without links', async () => {
      const { page } = visitor;
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.getByRole('button', { name: 'Copy summary' }).click();
      await page.getByText('copied', { exact: true }).waitFor();
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
    const { page, problems, measure, hosts } = await visit(bare, `${plain.address}?shapes=64x16&rounds=2&kit=all`);
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
    expect(await page.locator('.facts').first().textContent()).toContain(
      'not allowed, so that each backend has one thread',
    );
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
    expect(report.settings).toMatchObject({ backends: ['js'], kit: 'off', shapes: [[32, 10]], rounds: 3 });
    expect(report.complete).toBe(true);
    const [js] = report.backends;
    // js has no memory of its own, in which x could lie.
    expect(js!.timings.map(({ seconds }) => seconds.length)).toEqual([3, 3, 3, 3]);
    expect(js!.verified['32×10']!.worst).toBeLessThan(1);

    await page.getByText('In exact terms').first().click();
    await page.getByRole('button', { name: 'Let the library choose' }).click();
    await page
      .getByText(/^It chose Plain JavaScript, too: there was nothing to compare\. Loading and choosing took/)
      .waitFor();
    expect(problems).toEqual([]);
    await page.close();
  });

  it('answers before everything is measured, and then becomes surer, without a break', async () => {
    const { page, problems } = await visit(here.browser, `${here.site.address}?backends=js,wasm,gpujs-cpu&rounds=3`);
    await recordEvents(page);
    await page.getByRole('button', { name: 'Measure this device' }).click();
    await page.locator('.progress[data-state=done]').waitFor();
    const events = await recordedEvents(page);
    const first = events.findIndex(({ backend }) => backend !== '');
    // One backend has been timed once, on one shape, and nothing is checked.
    expect(events[first]).toMatchObject({ state: 'running', backend: 'js', checked: 0 });
    expect(events[first]!.certainty).toContain('So far: timed once, its result was right. Still measuring.');
    expect(events[first]!.code).toContain('createBatchNorm');
    expect(events.slice(first).every(({ backend }) => backend !== '')).toBe(true);
    // The checks of what may be recommended come before the other shapes.
    const sure = events.findIndex(({ certainty }) => certainty.startsWith('✓'));
    expect(sure).toBeGreaterThan(first);
    expect(events.slice(sure).some(({ status }) => status.startsWith('Timing'))).toBe(true);
    expect(events.slice(sure).every(({ certainty }) => certainty.startsWith('✓'))).toBe(true);
    expect(events.at(-1)).toMatchObject({ state: 'done', status: 'Done: everything is measured.' });
    expect(problems).toEqual([]);
    await page.close();
  });

  it('spares the visitor what cannot become the answer, and says so', async () => {
    const { page, measure } = await visit(
      here.browser,
      `${here.site.address}?backends=wasm,gpujs-cpu&shapes=32x10,256x1024&rounds=3`,
    );
    await measure();
    const report = await reportOf({ page });
    const [wasm, slow] = report.backends;
    const onLarger = slow!.timings.filter(({ shape }) => shape[0] === 256);
    // Two rounds are enough to see it.
    expect(onLarger.map(({ seconds }) => seconds.length)).toEqual([2, 2, 2, 2]);
    expect(slow!.timings.filter(({ shape }) => shape[0] === 32)).toEqual([]);
    expect(wasm!.timings.every(({ seconds, memory }) => seconds.length === 3 || memory === 'allocated')).toBe(true);
    expect(await kitOf(page, 'wasm').getAttribute('data-done')).toBe('true');
    expect(await kitOf(page, 'gpujs-cpu').getAttribute('data-done')).toBe('false');
    expect(await kitOf(page, 'gpujs-cpu').textContent()).toContain('too slow here to be checked in full');
    await page.locator('.answer select').nth(1).selectOption({ label: '32 rows of 10 features' });
    await page.getByText('Why not the other one').click();
    await page.getByText('on larger data it took more than 10 times as long as the fastest').waitFor();
    await page.close();
  });

  it('times first what the visitor asks about', async () => {
    const { page } = await visit(here.browser, `${here.site.address}?backends=js&kit=off&rounds=1`);
    const [operation, shape] = [page.locator('.answer select').nth(0), page.locator('.answer select').nth(1)];
    await operation.selectOption('Inference');
    await shape.selectOption({ label: '256 rows of 64 features' });
    await page.getByRole('button', { name: 'Measure this device' }).click();
    await page.locator('.progress[data-state=done]').waitFor();
    const [first] = (await reportOf({ page })).backends[0]!.timings;
    expect(first).toMatchObject({ shape: [256, 64], operation: 'forward-inference' });
    expect(await operation.inputValue()).toBe('forward-inference');
    await page.close();
  });

  it('recommends from what is known when it is stopped early, and starts again', async () => {
    const { page, measure } = await visit(here.browser, `${here.site.address}?backends=js,wasm&rounds=50`);
    await page.getByRole('button', { name: 'Measure this device' }).click();
    await page.locator('.answer[data-backend=wasm]').waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.locator('.progress[data-state=stopped]').waitFor();
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('wasm');
    expect(await page.locator('.certainty').textContent()).toMatch(
      /^… Stopped early: timed (once|\d+ times), its result was right\.$/,
    );
    expect(await page.locator('.answer .code').allTextContents()).toHaveLength(2);
    const report = await reportOf({ page });
    expect(report.complete).toBe(false);
    expect(report.recommendations.some(({ ranking }) => ranking.length > 0)).toBe(true);
    // What has not been timed by then has no answer, and the page says why.
    await page.locator('.answer select').nth(1).selectOption({ label: '256 rows of 64 features' });
    expect(await page.locator('.answer .name').textContent()).toBe('Nothing');
    await page.getByText('It was stopped before a backend was timed for this.').waitFor();

    await page.getByText('Choose what is measured').click();
    await page.getByLabel('How often each is timed').fill('1');
    await page.getByRole('radio', { name: /^Times only/ }).check();
    await measure();
    expect(await page.locator('.certainty').textContent()).toBe('✓ Timed once, its result was right.');
    await page.close();
  });
});

interface Event {
  readonly state: string;
  readonly status: string;
  readonly backend: string;
  readonly certainty: string;
  readonly code: string;
  /** Cases of the kit with a result, of all backends. */
  readonly checked: number;
}

/** From now on the page remembers everything that it has shown. */
async function recordEvents(page: Page): Promise<void> {
  await page.evaluate(() => {
    const events: Event[] = [];
    Object.assign(globalThis, { events });
    const textOf = (selector: string) => document.querySelector(selector)?.textContent ?? '';
    const dataOf = (selector: string) => (document.querySelector(selector) as HTMLElement | null)?.dataset ?? {};
    const checkedOn = ({ dataset: { passed, failed, refused, skipped } }: HTMLElement) =>
      Number(passed) + Number(failed) + Number(refused) + Number(skipped);
    new MutationObserver(() => {
      events.push({
        state: dataOf('.progress').state ?? '',
        status: textOf('#visit-status'),
        backend: dataOf('.answer').backend ?? '',
        certainty: textOf('.certainty'),
        code: textOf('.answer .code:last-of-type pre'),
        checked: [...document.querySelectorAll<HTMLElement>('.kit')].reduce((sum, kit) => sum + checkedOn(kit), 0),
      });
    }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
}

const recordedEvents = (page: Page): Promise<Event[]> =>
  page.evaluate(() => (globalThis as unknown as { events: Event[] }).events);

/** How many times of a backend the table shows for an operation. */
async function timesOf({ page }: Visitor, name: string, operation: Operation): Promise<number> {
  await page.getByRole('radio', { name: operationWords[operation].title }).check({ force: true });
  return page.locator(`.timings tr[data-backend="${name}"]`).count();
}

/** Every case has a result, none of them failed, and the page says so. */
async function expectConforming(kit: Locator): Promise<void> {
  const numberOf = async (status: string) => Number(await kit.getAttribute(`data-${status}`));
  const [passed, refused, skipped] = [await numberOf('passed'), await numberOf('refused'), await numberOf('skipped')];
  expect(passed + refused + skipped).toBe(kitSize);
  expect(await numberOf('cases')).toBe(kitSize);
  expect(await numberOf('failed')).toBe(0);
  const verdict = await kit.locator('.verdict').textContent();
  expect(verdict).toContain(`✓ right: ${passed} checks passed`);
  if (refused > 0) expect(verdict).toContain(`refused properly, ${refused} times`);
  if (skipped > 0) expect(verdict).toContain(`${skipped} were left out`);
  expect(verdict).not.toContain('✗');
}

interface Report {
  readonly complete: boolean;
  readonly settings: object;
  readonly backends: readonly {
    readonly timings: readonly {
      readonly shape: readonly number[];
      readonly operation: string;
      readonly memory: string;
      readonly seconds: readonly number[];
    }[];
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
    page.getByRole('button', { name: 'Download results' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe('batchnorm.json');
  return JSON.parse(await readFile(await download.path(), 'utf8'));
}
