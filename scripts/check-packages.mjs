// `pnpm check:packages`: whether every published package, as it would be published, can be found, resolved and typed by
// its users.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packPackages } from './pack-packages.mjs';

/** What publint does not ask for. */
const requiredFiles = ['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'];
const requiredFields = [
  'description',
  'keywords',
  'license',
  'repository',
  'sideEffects',
  'engines',
  'main',
  'exports',
  'files',
];

const bin = fileURLToPath(new URL('../node_modules/.bin/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'batchnorm-packages-'));
try {
  for (const { manifest, tarball, files } of packPackages(folder)) {
    // attw looks for types, which a stylesheet has none of.
    const styles = Object.keys(manifest.exports ?? {}).filter((path) => path.endsWith('.css'));
    const untyped = styles.length === 0 ? [] : ['--exclude-entrypoints', ...styles];
    const problems = [
      ...requiredFiles.filter((file) => !files.includes(file)).map((file) => `lacks the file ${file}`),
      ...requiredFields
        .filter((field) => !(field in manifest))
        .map((field) => `lacks the field ${field} in package.json`),
      ...unknownToParcel(manifest),
      ...complaints('publint', tarball, '--strict'),
      ...complaints('attw', tarball, '--profile', 'esm-only', ...untyped),
    ];
    console.log(`${manifest.name}: ${files.length} files, ${problems.length === 0 ? 'fine' : 'FAILED'}`);
    for (const problem of problems) console.error(problem);
    if (problems.length > 0) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** Parcel reads `exports` on request alone: it finds `main`, and a subpath by `alias`. */
function unknownToParcel({ main, alias = {}, exports }) {
  const found = { '.': main, ...alias };
  return Object.entries(exports)
    .filter(([subpath, { default: file }]) => file !== undefined && found[subpath] !== file)
    .map(([subpath, { default: file }]) => `says in no main or alias that ${subpath} is ${file}`);
}

/** What the tool says if it fails. */
function complaints(tool, ...args) {
  const { status, stdout, stderr } = spawnSync(join(bin, tool), args, {
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  return status === 0 ? [] : [`${tool} ${args.slice(1).join(' ')}:\n${stdout}${stderr}`];
}
