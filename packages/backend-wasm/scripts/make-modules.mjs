// Compiles assembly/ and writes the modules as text to src/modules.ts: so one import of the package is all that it needs.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));

const options = [
  '--baseDir',
  root,
  '--enable',
  'simd',
  '--importMemory',
  '--noExportMemory',
  '--runtime',
  'stub',
  '--noAssert',
];
const optimizations = ['--optimizeLevel', '3', '--shrinkLevel', '1', '--converge'];
/** Warning 201 is of conversions between numbers and addresses that 64-bit memory would not allow. */
const unwarned = ['--disableWarning', '201'];

/**
 * A source file, or null where there is none. TypeScript has no decorators of functions, so that sources have AssemblyScript's as a
 * comment: editors, tsc and Biome read them.
 */
async function readSource(name, directory) {
  const source = await readFile(join(directory, name), 'utf8').catch(() => null);
  return source?.replaceAll('/* @inline */', '@inline') ?? null;
}

/** The module of assembly/`entry`.ts. */
async function compile(entry, name, flags) {
  const out = `dist/${name}.wasm`;
  const argv = [`assembly/${entry}.ts`, '--outFile', out, ...options, ...optimizations, ...unwarned, ...flags];
  const { error, stderr } = await asc.main(argv, { readFile: readSource });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return readFile(new URL(`../${out}`, import.meta.url));
}

/**
 * The modules in base64, where three bytes are four characters: the same code is the same text only where it begins at the
 * same byte of three. An empty section moves a module's code by one or two bytes; of all ways to move it, the one that
 * compresses best.
 */
function asText(binaries) {
  const moved = (binary, by) =>
    by === 0
      ? binary
      : Buffer.concat([binary.subarray(0, 8), Buffer.from([0, by + 1, 0, 0, 0].slice(0, by + 3)), binary.subarray(8)]);
  const [first, ...others] = binaries;
  let ways = [[first.toString('base64')]];
  for (const binary of others) {
    ways = ways.flatMap((texts) => [0, 1, 2].map((by) => [...texts, moved(binary, by).toString('base64')]));
  }
  const sizes = ways.map((texts) => gzipSync(texts.join(), { level: 9 }).length);
  return ways[sizes.indexOf(Math.min(...sizes))];
}

const relaxed = ['--enable', 'relaxed-simd'];
const shared = ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536'];
const modules = [
  ['single', 'For memory of one thread.', await compile('kernels', 'single', [])],
  ['singleRelaxed', 'The same with relaxed SIMD.', await compile('kernels', 'single-relaxed', relaxed)],
  ['threaded', 'For shared memory.', await compile('worker-pool', 'threaded', shared)],
  [
    'threadedRelaxed',
    'The same with relaxed SIMD.',
    await compile('worker-pool', 'threaded-relaxed', [...shared, ...relaxed]),
  ],
];
const texts = asText(modules.map(([, , binary]) => binary));
const entries = modules.map(([name, what], n) => `  /** ${what} */\n  ${name}:\n    '${texts[n]}',\n`);
await writeFile(
  new URL('../src/modules.ts', import.meta.url),
  `// Made from assembly/ by scripts/make-modules.mjs. Edit that folder.

/** In base64. */
export const modules: Readonly<Record<'single' | 'singleRelaxed' | 'threaded' | 'threadedRelaxed', string>> = {
${entries.join('')}};
`,
);
