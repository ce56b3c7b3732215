// Compiles assembly/ and writes the modules as text to src/modules.ts: so one import of the package is all that it needs.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The module of assembly/`entry`.ts in base64. */
async function compile(entry, name, flags) {
  const out = `dist/${name}.wasm`;
  const { error, stderr } = await asc.main([
    ...[`assembly/${entry}.ts`, '--outFile', out, '--baseDir', root, '--disableWarning', '201', '--noAssert'],
    ...[
      '--optimizeLevel',
      '3',
      '--shrinkLevel',
      '1',
      '--converge',
      '--runtime',
      'stub',
      '--importMemory',
      '--noExportMemory',
    ],
    ...['--enable', 'simd', ...flags],
  ]);
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
