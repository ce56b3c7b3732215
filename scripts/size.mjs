// `pnpm size [NAME…]`: how many kB each published package has, bundled, minified and compressed (gzip), as READMEs state it.
import { existsSync, readdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { readManifest } from './pack-packages.mjs';

const packages = fileURLToPath(new URL('../packages/', import.meta.url));
const core = '@batchnorm/core-api';
const asked = process.argv.slice(2);

const published = readdirSync(packages)
  .map((name) => ({ folder: join(packages, name), manifest: readManifest(join(packages, name)) }))
  .filter(({ folder, manifest }) => manifest.private !== true && existsSync(join(folder, 'dist/index.js')));

const table = {};
for (const { folder, manifest } of published) {
  const name = manifest.name.replace('@batchnorm/', '');
  if (asked.length > 0 && !asked.includes(name)) continue;
  const own = async (...names) => size(await bundle(folder, names, (id) => isPackage(id) && !names.includes(id)));
  const whole = async (...names) => size(await bundle(folder, names, (id) => isOptional(manifest, id)));
  const isCore = manifest.name === core;
  const alone = await whole(manifest.name);
  table[name] = {
    'its own code': await own(manifest.name),
    // What of core-api a page uses is not known here: it has all of it.
    'on a page with core-api': isCore ? 0 : (await whole(core, manifest.name)) - (await whole(core)),
    'with all that it imports': alone,
  };
}
console.table(
  Object.fromEntries(
    Object.entries(table).map(([name, sizes]) => [
      name,
      Object.fromEntries(
        Object.entries(sizes).map(([what, bytes]) => [`${what}, kB`, Number((bytes / 1000).toFixed(1))]),
      ),
    ]),
  ),
);

/** The code of a module in `folder` that exports all of these packages. */
async function bundle(folder, names, isExternal) {
  const entry = join(folder, 'size-entry.js');
  const module = await rolldown({
    input: entry,
    platform: 'browser',
    logLevel: 'silent',
    external: (id) => isBuiltin(id) || isExternal(id),
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => {
          if (id === entry) return entry;
          return names.includes(id) ? join(packages, id.split('/')[1] ?? id, 'dist/index.js') : null;
        },
        load: (id) => (id === entry ? names.map((name, k) => `export * as _${k} from '${name}';`).join('\n') : null),
      },
    ],
  });
  const { output } = await module.generate({ format: 'esm', minify: true });
  await module.close();
  return output.map(({ code = '' }) => code).join('');
}

function size(code) {
  return gzipSync(code, { level: 9 }).length;
}

/** Whether it is a package, and not a file of one. */
function isPackage(id) {
  return !id.startsWith('.') && !id.startsWith('/') && !id.startsWith('\0');
}

/** Whether users may leave it out. */
function isOptional({ peerDependenciesMeta = {} }, id) {
  return peerDependenciesMeta[id]?.optional === true;
}
