// Packs every published package, as publishing would: what the checks look at is what users get.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packages = fileURLToPath(new URL('../packages/', import.meta.url));

/** [{ name, tarball, files }] of the packages that are not private, packed into `folder`; `pnpm build` comes before. */
export function packPackages(folder) {
  mkdirSync(folder, { recursive: true });
  const manifests = readdirSync(packages)
    .map((name) => ({ cwd: join(packages, name), manifest: readManifest(join(packages, name)) }))
    .filter(({ manifest }) => manifest.private !== true);
  return manifests.map(({ cwd }) => {
    const output = pnpm(['pack', '--json', '--pack-destination', folder], { cwd, encoding: 'utf8' });
    const { name, filename, files } = JSON.parse(output);
    return { name, tarball: filename, files: files.map(({ path }) => path) };
  });
}

/** Runs pnpm: the one that runs this script. */
export function pnpm(args, options) {
  return execFileSync('pnpm', args, { shell: process.platform === 'win32', ...options });
}

function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
