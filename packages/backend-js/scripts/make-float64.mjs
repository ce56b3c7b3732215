// Writes src/loops.float64.ts and src/gated.float64.ts: the same loops for the other kind of activation.
import { readFile, writeFile } from 'node:fs/promises';

const folder = new URL('../src/', import.meta.url);
for (const name of ['loops', 'gated']) {
  const [, ...code] = (await readFile(new URL(`${name}.float32.ts`, folder), 'utf8')).split(/^(?=import )/m);
  const header = `// Made from ${name}.float32.ts by scripts/make-float64.mjs. Edit that file.\n`;
  await writeFile(
    new URL(`${name}.float64.ts`, folder),
    header + code.join('').replaceAll('Float32Array', 'Float64Array'),
  );
}
