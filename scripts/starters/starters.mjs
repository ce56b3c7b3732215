// Every folder of starters/, copied out, installed, built without a warning, and run.
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pagesAreSkipped, serveFolder, shows, visit } from './page.mjs';
import { isMissing, Project } from './project.mjs';

const source = fileURLToPath(new URL('../../starters', import.meta.url));
const strictMode = fileURLToPath(new URL('strict-mode', import.meta.url));

/** What each does in its folder, and what must be seen then. */
const starters = {
  node: {
    runs: async (project) => assertTrainingStep(await project.script('start')),
  },
  deno: {
    skip: isMissing('deno'),
    installs: (project) => project.run('deno', 'install', '--minimum-dependency-age=0'), // published a moment ago
    runs: async (project) => assertTrainingStep(await project.run('deno', 'task', 'start')),
  },
  bun: {
    skip: isMissing('bun'),
    installs: (project) => project.run('bun', 'install'),
    runs: async (project) => assertTrainingStep(await project.run('bun', 'run', 'start')),
  },
  jest: {
    runs: async (project) => assert.match(await project.script('test'), /Tests: +2 passed, 2 total/),
  },
  vanilla: {
    shows: (project) =>
      project.serve('start', ['--port'], (url) =>
        visit(url, async (page) => {
          await assertNormalised(page);
          assert.equal(await page.evaluate('crossOriginIsolated'), false);
        }),
      ),
  },
  webpack: {
    builds: (project) => project.script('build'),
    shows: (_, folder) => serveFolder(join(folder, 'dist'), (url) => visit(url, assertNormalised)),
  },
  parcel: {
    builds: (project) => project.script('build'),
    shows: (_, folder) => serveFolder(join(folder, 'dist'), (url) => visit(url, assertNormalised)),
  },
  'vite-worker': {
    builds: (project) => project.script('build'),
    shows: (_, folder) =>
      serveFolder(join(folder, 'dist'), (url) =>
        visit(url, async (page) => {
          // The page hears a click while the worker trains.
          await page.getByRole('button', { name: 'Start' }).click();
          await shows(page, '#status', /^Step \d+ of \d+ on \w+: [\d.]+ % right$/);
          await page.getByRole('button', { name: 'Stop' }).click();
          await shows(page, '#status', /^Stopped at step \d+ of \d+$/);
          const [, step, steps] = (await page.locator('#status').textContent()).match(/(\d+) of (\d+)/);
          assert(Number(step) < Number(steps));

          await page.getByRole('button', { name: 'Start' }).click();
          await shows(page, '#status', /^Done after \d+ steps on \w+: (9[5-9]|100)\.\d % right$/);
        }),
      ),
  },
  react: {
    builds: (project) => project.script('build'),
    shows: (_, folder) =>
      serveFolder(join(folder, 'dist'), (url) =>
        visit(url, async (page) => {
          await shows(page, 'main', /Backend: \w+.*Normalised: -1\.342, -0\.447, 0\.447, 1\.342$/);
          const numbers = page.getByLabel('Numbers');
          await numbers.fill('');
          await shows(page, '[role=alert]', /received x of shape \[0, 1\]/);
          await numbers.fill('10 30');
          await shows(page, 'main', /Normalised: -1\.000, 1\.000$/);
        }),
      ),
    'keeps one layer in Strict Mode, and none after it': async (project, folder) => {
      cpSync(strictMode, folder, { recursive: true });
      await project.serve('start', ['--host', '127.0.0.1', '--port'], (url) =>
        visit(new URL('strict-mode.html', url).href, async (page) => {
          const click = (name) => page.getByRole('button', { name, exact: true }).click();
          const backendsAlive = (count) =>
            page
              .waitForFunction((n) => globalThis.backendsAlive() === n, count)
              .catch(async () => assert.equal(await page.evaluate(() => globalThis.backendsAlive()), count));
          await shows(page, 'output', /^a layer of 1$/);
          await backendsAlive(1);
          await click('One channel more');
          await shows(page, 'output', /^a layer of 2$/);
          await backendsAlive(1);
          await click('Unmount');
          await backendsAlive(0);
          // Before any layer is there the next one is asked for.
          for (const name of ['Mount', 'One channel more', 'Unmount', 'Mount', 'One channel more']) await click(name);
          await shows(page, 'output', /^a layer of 4$/);
          await backendsAlive(1);
          for (const name of ['Unmount', 'Mount', 'Unmount']) await click(name);
          await backendsAlive(0);
        }),
      );
    },
  },
  next: {
    builds: (project) => project.script('build'),
    shows: (project) =>
      project.serve('start', ['--port'], async (url) => {
        await visit(url, async (page) => {
          await shows(page, '#server', /^On the server, with \w+: -1\.342, -0\.447, 0\.447, 1\.342$/);
          await shows(page, '#browser', /^In the browser, with \w+: -1\.342, -0\.447, 0\.447, 1\.342$/);
        });
        const ask = (body) => fetch(new URL('api/normalize', url), { method: 'POST', body: JSON.stringify(body) });
        const { values } = await (await ask([10, 30])).json();
        assert.deepEqual(
          values.map((value) => value.toFixed(3)),
          ['-1.000', '1.000'],
        );
        const refused = await ask([]);
        assert.equal(refused.status, 400);
        assert.equal((await refused.json()).code, 'EMPTY_BATCH');
      }),
  },
};

/** `registry`: its url, once it is there. `temporary`: a folder to copy them to. */
export function testStarters(registry, temporary) {
  describe('starters', { concurrency: 2 }, () => {
    it('are all tested', () => {
      const folders = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory());
      assert.deepEqual(folders.map(({ name }) => name).sort(), Object.keys(starters).sort());
    });

    it('of React and Next have the same hooks', () => {
      for (const hook of ['use-batch-norm.ts', 'use-normalized.ts']) {
        assert.equal(read(`next/app/${hook}`), read(`react/src/${hook}`));
      }
    });

    for (const [name, { skip, installs = install, ...steps }] of Object.entries(starters)) {
      describe(name, { concurrency: 1, skip }, () => {
        const folder = join(temporary, name);
        const project = new Project({ folder, registry, cache: join(temporary, '.cache') });
        it('is installed', () => {
          cpSync(join(source, name), folder, { recursive: true, filter: isSource });
          return installs(project);
        });
        for (const [step, run] of Object.entries(steps)) {
          const title =
            { runs: 'runs', builds: 'builds without a warning', shows: 'shows what it should' }[step] ?? step;
          it(title, { skip: ['runs', 'builds'].includes(step) ? false : pagesAreSkipped }, () => run(project, folder));
        }
      });
    }
  });
}

const install = (project) => project.install();

const read = (path) => readFileSync(join(source, path), 'utf8');

/** What was installed or built in starters/ is not what users copy. */
const isSource = (path) => !/[/\\](node_modules|dist|\.next|\.parcel-cache|package-lock\.json)$/.test(path);

/** What the programs print: one line for each of them. */
function assertTrainingStep(output) {
  assert.match(output, /^backend: \w+$/m);
  assert.match(output, /^normalised: .*-1\.2247/ms);
  assert.match(output, /^inference: /m);
}

/** What the pages show that have no framework. */
async function assertNormalised(page) {
  await shows(page, '#backend', /^(wasm|js|webgpu)$/);
  await shows(page, '#normalised', /^-1\.225, -1\.225, 0\.000, 0\.000, 1\.225, 1\.225$/);
}
