// Packs every published package, as publishing would: what is checked is what users get.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packages = fileURLToPath(new URL('../packages/', import.meta.url));

/**
 * [{ manifest, tarball, files }] of the packages that are not private, packed into `folder`. They must have been built.
 */
export function packPackages(folder) {
  mkdirSync(folder, { recursive: true });
  return readdirSync(packages)
    .map((name) => ({ cwd: join(packages, name), manifest: readManifest(join(packages, name)) }))
    .filter(({ manifest }) => manifest.private !== true)
    .map(({ cwd, manifest }) => {
      const output = execFileSync('pnpm', ['pack', '--json', '--pack-destination', folder], {
        cwd,
        encoding: 'utf8',
        shell: process.platform === 'win32',
      });
      const { filename, files } = JSON.parse(output);
      return { manifest, tarball: filename, files: files.map(({ path }) => path) };
    });
}

/** The package.json in `folder`. */
export function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
