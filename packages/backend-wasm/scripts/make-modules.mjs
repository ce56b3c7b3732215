// Compiles assembly/ and writes the modules as text to src/modules.ts: so one import of the package is all that it needs.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The module of assembly/`entry`.ts in base64. */
async function compile(entry, flags) {
  const out = `dist/${entry}.wasm`;
  const { error, stderr } = await asc.main([
    ...[`assembly/${entry}.ts`, '--outFile', out, '--baseDir', root],
    ...[
      '--optimizeLevel',
      '3',
      '--shrinkLevel',
      '1',
      '--converge',
      '--noAssert',
      '--runtime',
      'stub',
      '--importMemory',
      '--noExportMemory',
    ],
    ...['--enable', 'simd', '--disableWarning', '201', ...flags],
  ]);
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return (await readFile(new URL(`../${out}`, import.meta.url))).toString('base64');
}

const single = await compile('index', []);
const threaded = await compile('threaded', ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536']);
await writeFile(
  new URL('../src/modules.ts', import.meta.url),
  `// Made from assembly/ by scripts/make-modules.mjs. Edit that folder.

/** For memory of one thread. */
export const single: string =
  '${single}';
/** For shared memory. */
export const threaded: string =
  '${threaded}';
`,
);
