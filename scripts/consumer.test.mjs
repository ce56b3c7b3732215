// `pnpm test:packages`: the published packages in projects outside this workspace, as their users have them. Needs the
// npm registry.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { chromiumMissing, chromiumPath, launchChromium } from '../packages/browser/dist/chromium.js';
import { packPackages, readManifest } from './pack-packages.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = promisify(execFile);

const folder = mkdtempSync(join(tmpdir(), 'batchnorm-consumer-'));
const packed = packPackages(join(folder, 'tarballs'));
const tarballs = Object.fromEntries(packed.map(({ manifest, tarball }) => [manifest.name, `file:${tarball}`]));

/** The compilers that users have: ours, and the last one in JavaScript. */
const tools = {
  typescript: readManifest(here('..')).devDependencies.typescript,
  'typescript-5': 'npm:typescript@~5.9.0',
  vite: readManifest(here('../examples/page')).devDependencies.vite,
};
const compilers = ['typescript', 'typescript-5'];

/** How users resolve modules, with everything strict and no declaration file skipped. */
const resolutions = {
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
};
const strict = {
  target: 'es2022',
  lib: ['es2022', 'dom'],
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
};

/** For what hangs alone: a compiler, a bundler or a browser on a busy machine; and the npm registry. */
const slow = { timeout: 180_000 };
const installing = { timeout: 600_000 };

const chromium = chromiumPath();
const isRequired = (process.env.REQUIRE_BACKENDS ?? '').split(',').includes('js@chromium');

after(() => rmSync(folder, { recursive: true, force: true }));
after(() => rmSync(folder, { recursive: true, force: true }));

/** No bundler looks for gpujs, which is optional. */
const bundled = packed
  .map(({ manifest }) => manifest.name.replace('@batchnorm/', ''))
  .filter((name) => name.startsWith('backend-') && name !== 'backend-gpujs');

describeConsumer({
  title: 'a project with batchnorm alone',
  packages: ['batchnorm'],
  files: ['umbrella.ts'],
  check: ({ candidates }) => {
    const { available, reason } = candidates.find(({ name }) => name === 'gpujs');
    assert.equal(available, false);
    assert.match(reason, /npm install @batchnorm\/backend-gpujs/);
  },
});

describeConsumer({
  title: 'a project with every package',
  packages: Object.keys(tarballs),
  files: ['umbrella.ts', 'backends.ts'],
  hasKit: true,
  check: ({ candidates }, isPage) => {
    for (const { name, available, reason } of candidates) {
      if (name === 'webgpu' && !available) assert.match(reason, /npm install webgpu/);
      else if (name === 'gpujs' && isPage) assert.match(reason, /in a bundle its factory/);
      else assert(available, `${name}: ${reason}`);
    }
  },
});

/**
 * Installs `packages` beside `files`, type-checks, compiles, runs and bundles them; `check` gets the report of
 * umbrella.ts. `hasKit`: whether @batchnorm/conformance is among them.
 */
function describeConsumer({ title, packages, files, hasKit = false, check }) {
  describe(title, () => {
    const cwd = join(folder, title.replaceAll(' ', '-'));
    const node = (...args) => run(process.execPath, args, { cwd });
    const compile = (compiler, config) => node(join('node_modules', compiler, 'bin/tsc'), '-p', config);

    before(async () => {
      cpSync(here('consumer'), cwd, { recursive: true });
      const write = (name, content) => writeFileSync(join(cwd, name), JSON.stringify(content, null, 2));
      write('package.json', {
        private: true,
        type: 'module',
        dependencies: Object.fromEntries(packages.map((name) => [name, tarballs[name]])),
        devDependencies: tools,
      });
      // What a package depends on comes from its tarball, too, and not from the registry. JSON is YAML.
      write('pnpm-workspace.yaml', { overrides: tarballs });
      for (const [name, resolution] of Object.entries(resolutions)) {
        write(`tsconfig.${name}.json`, { compilerOptions: { ...strict, ...resolution, outDir: name }, files });
      }
      await run('pnpm', ['install', '--ignore-scripts', '--no-frozen-lockfile'], {
        cwd,
        shell: process.platform === 'win32',
      });
    }, installing);

    for (const compiler of compilers) {
      for (const name of Object.keys(resolutions)) {
        it(`type-checks with ${compiler} and moduleResolution ${name}`, slow, () =>
          compile(compiler, `tsconfig.${name}.json`).catch(({ stdout }) => assert.fail(stdout)),
        );
      }
    }

    it('runs in Node', slow, async () => {
      for (const file of files) await node(join('nodenext', file.replace('.ts', '.js')));
      check(JSON.parse((await node('nodenext/umbrella.js')).stdout), false);
    });

    it('runs the kit on a backend of its own', {
      ...slow,
      skip: !hasKit && 'the kit is not among its packages',
    }, async () => {
      cpSync(here('../examples/toy-backend/src/toy-backend.js'), join(cwd, 'my-backend.js'));
      const command = join(cwd, 'node_modules/.bin/batchnorm-conformance');
      const args = ['my-backend.js', '--quick', '--dtype', 'float32', '--report', 'report'];
      const { stdout } = await run(command, args, { cwd, shell: process.platform === 'win32' });
      assert.match(stdout, /\n\d+ passed, 0 failed, /);
      assert.match(readFileSync(join(cwd, 'report/conformance.html'), 'utf8'), /<b>my-backend\.js<\/b>/);
    });

    it('builds a page with a chunk for each backend, loaded on demand', slow, async () => {
      await node('node_modules/vite/bin/vite.js', 'build');
      const chunks = Object.entries(JSON.parse(readFileSync(join(cwd, 'page/.vite/manifest.json'), 'utf8')));
      const lazy = chunks.filter(([, { isDynamicEntry }]) => isDynamicEntry).map(([source]) => source);
      const backends = lazy.flatMap((source) => source.match(/node_modules\/@batchnorm\/(backend-\w+)/)?.[1] ?? []);
      assert.deepEqual(backends.sort(), bundled);
    });

    it('runs in that page', { ...slow, skip: chromium === undefined && !isRequired && chromiumMissing }, async () => {
      const { preview } = await import(pathToFileURL(join(cwd, 'node_modules/vite/dist/node/index.js')));
      const server = await preview({ root: cwd, configFile: join(cwd, 'vite.config.js'), logLevel: 'error' });
      const browser = await launchChromium(chromium);
      try {
        const page = await browser.newPage();
        const report = page.waitForEvent('console', (message) => message.type() === 'log');
        const failure = page.waitForEvent('pageerror').then((error) => assert.fail(error));
        await page.goto(server.resolvedUrls.local[0]);
        check(JSON.parse((await Promise.race([report, failure])).text()), true);
      } finally {
        await browser.close();
        await server.close();
      }
    });
  });
}
