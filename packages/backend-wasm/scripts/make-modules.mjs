// Compiles assembly/ and writes the modules as text to src/modules.ts: so one import of the package is all that it needs.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** The module of assembly/`entry`.ts in base64. */
async function compile(entry, name, flags) {
  const out = `dist/${name}.wasm`;
  const argv = [`assembly/${entry}.ts`, '--outFile', out, ...options, ...optimizations, ...unwarned, ...flags];
  const { error, stderr } = await asc.main(argv, { readFile: readSource });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return (await readFile(new URL(`../${out}`, import.meta.url))).toString('base64');
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
const entries = modules.map(([name, what, base64]) => `  /** ${what} */\n  ${name}:\n    '${base64}',\n`);
await writeFile(
  new URL('../src/modules.ts', import.meta.url),
  `// Made from assembly/ by scripts/make-modules.mjs. Edit that folder.

/** In base64. */
export const modules: Readonly<Record<'single' | 'singleRelaxed' | 'threaded' | 'threadedRelaxed', string>> = {
${entries.join('')}};
`,
);
