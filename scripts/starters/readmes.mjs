// The READMEs of packages as npm shows them, outside this repository: their first lines run, and their links lead somewhere.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readManifest } from '../pack-packages.mjs';
import { Project } from './project.mjs';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** What the first program of each README prints. */
const printed = {
  batchnorm: /-1\.2247/,
  'core-api': /-1\.2247/,
  'backend-js': /-1\.2247/,
  'backend-wasm': /threads/,
  'backend-gpujs': /-1\.2247/,
  select: /milliseconds/,
  conformance: /^# pass [1-9]\d*\n# fail 0$/m,
};

/** `registry`: its url. `temporary`: a folder for projects. */
export function testReadmes(registry, temporary) {
  describe('READMEs', { concurrency: 2 }, () => {
    for (const [name, pattern] of Object.entries(printed)) {
      const package_ = join(repository, 'packages', name);
      const text = readFileSync(join(package_, 'README.md'), 'utf8');

      it(`${name}: what its first lines install and run`, async () => {
        const folder = join(temporary, `readme-${name}`);
        const project = new Project({ folder, registry, cache: join(temporary, '.cache') });
        mkdirSync(folder);
        writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
        await project.install(...text.match(/^npm install (.+)$/m)[1].split(' '));
        const program = text.match(/```[tj]s\n(.*?)```/s)[1];
        const isTest = program.includes("'node:test'");
        writeFileSync(join(folder, isTest ? 'first.test.js' : 'first.js'), program);
        const output = await project.run('node', ...(isTest ? ['--test', '--test-reporter=tap'] : ['first.js']));
        assert.match(output, pattern);
      });

      it(`${name}: its links are absolute, and those to this repository lead to what is there`, () => {
        const root = readManifest(package_).repository.url.replace(/^git\+|\.git$/g, '');
        const targets = [...text.matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]:\s+(\S+)$/gm)].map(([, a, b]) => a ?? b);
        for (const target of targets) {
          if (target.startsWith('#')) continue;
          assert.match(target, /^https:\/\//);
          const [, path] = target.split('#')[0].match(`^${root}/(?:blob|tree)/main/(.+)$`) ?? [];
          assert(path === undefined || existsSync(join(repository, path)), `${target} is not there`);
        }
      });
    }
  });
}
