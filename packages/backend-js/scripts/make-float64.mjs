// Writes src/loops.float64.ts: the same loops for the other kind of activation.
import { readFile, writeFile } from 'node:fs/promises';

const source = new URL('../src/loops.float32.ts', import.meta.url);
const [, ...code] = (await readFile(source, 'utf8')).split(/^(?=import )/m);
const header = '// Made from loops.float32.ts by scripts/make-float64.mjs. Edit that file.\n';
await writeFile(
  new URL('../src/loops.float64.ts', import.meta.url),
  header + code.join('').replaceAll('Float32Array', 'Float64Array'),
);
