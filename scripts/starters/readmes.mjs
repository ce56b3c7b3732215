// The READMEs of packages as npm shows them, outside this repository: their first lines run, and their links lead somewhere.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readManifest } from '../pack-packages.mjs';
import { Project } from './project.mjs';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** Folders of packages/ that others get. */
const published = readdirSync(join(repository, 'packages')).filter(
  (name) => readManifest(join(repository, 'packages', name)).private !== true,
);

/** What the first program of each README prints: of the repository's, and of packages. */
const printed = {
  '.': /is the best by speed|is tied with|is the only candidate/,
  'packages/batchnorm': /-1\.2247/,
  'packages/core-api': /-1\.2247/,
  'packages/backend-js': /-1\.2247/,
  'packages/backend-wasm': /threads/,
  'packages/backend-gpujs': /-1\.2247/,
  'packages/select': /milliseconds/,
  'packages/tfjs': /Total params/,
  'packages/conformance': /^# pass [1-9]\d*\n# fail 0$/m,
  'packages/reporting': /mine/,
};

const textOf = (folder) => readFileSync(join(repository, folder, 'README.md'), 'utf8');

/** `registry`: its url. `temporary`: a folder for projects. */
export function testReadmes(registry, temporary) {
  describe('READMEs', { concurrency: 2 }, () => {
    for (const [folder, pattern] of Object.entries(printed)) {
      it(`${folder}: what its first lines install and run`, async () => {
        const text = textOf(folder);
        const cwd = join(temporary, `readme-${folder.replaceAll(/\W/g, '-')}`);
        const project = new Project({ folder: cwd, registry, cache: join(temporary, '.cache') });
        mkdirSync(cwd);
        writeFileSync(join(cwd, 'package.json'), '{ "private": true, "type": "module" }');
        const [, lines] = text.match(/```sh\n(.*?)```/s);
        const installed = [...lines.matchAll(/^npm install (.+)$/gm)].flatMap(([, names]) => names.split(' '));
        await project.install(...installed);
        const [, program] = text.match(/```[tj]s\n(.*?)```/s);
        const isTest = program.includes("'node:test'");
        writeFileSync(join(cwd, isTest ? 'first.test.js' : 'first.js'), program);
        const output = await project.run('node', ...(isTest ? ['--test', '--test-reporter=tap'] : ['first.js']));
        assert.match(output, pattern);
      });
    }

    for (const name of published) {
      it(`${name}: its links are absolute, and those to this repository lead to what is there`, () => {
        const folder = `packages/${name}`;
        const root = readManifest(join(repository, folder)).repository.url.replace(/^git\+|\.git$/g, '');
        const targets = [...textOf(folder).matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]:\s+(\S+)$/gm)];
        for (const target of targets.map(([, a, b]) => a ?? b)) {
          if (target.startsWith('#')) continue;
          assert.match(target, /^https:\/\//);
          const [, path] = target.split('#')[0].match(`^${root}/(?:blob|tree)/main/(.+)$`) ?? [];
          assert(path === undefined || existsSync(join(repository, path)), `${target} is not there`);
        }
      });
    }
  });
}
