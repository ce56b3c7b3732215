// `pnpm check:packages`: whether every published package, as it would be published, can be resolved, typed and read by its users.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packPackages } from './pack-packages.mjs';

const bin = new URL('../node_modules/.bin/', import.meta.url).pathname;

/** What publint does not ask for. */
const requiredFiles = ['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'];

const folder = mkdtempSync(join(tmpdir(), 'batchnorm-packages-'));
try {
  const problems = packPackages(folder).flatMap(({ name, tarball, files }) => {
    console.log(`\n${name}: ${files.length} files`);
    const missing = requiredFiles.filter((file) => !files.includes(file));
    return [
      ...missing.map((file) => `${name} lacks ${file}`),
      ...(run('publint', tarball, '--strict') ? [] : [`${name}: publint --strict`]),
      ...(run('attw', tarball, '--profile', 'esm-only') ? [] : [`${name}: attw --profile esm-only`]),
    ];
  });
  for (const problem of problems) console.error(`FAILED: ${problem}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

function run(tool, ...args) {
  return spawnSync(join(bin, tool), args, { stdio: 'inherit', shell: process.platform === 'win32' }).status === 0;
}
