// Writes the loops for the other kinds of activation: src/*.float64.ts and src/*.float16.ts, of src/*.float32.ts.
import { readFile, writeFile } from 'node:fs/promises';

const folder = new URL('../src/', import.meta.url);
const dtypes = {
  float64: (code) => code.replaceAll('Float32Array', 'Float64Array'),
  // Elements are bits: numbers are looked up where they are read, and made bits again where they are written.
  float16: (code) =>
    code
      .replace('passed: Activation = new Float32Array', 'passed: Vector = new Float64Array')
      .replaceAll('Float32Array', 'Uint16Array')
      .replace(/^(?=import type \{ Block)/m, "import { float16Bits, float16Numbers } from '@batchnorm/core-api';\n")
      .replaceAll(/\): void \{$/gm, '): void {\n  const numbers = float16Numbers();')
      .replaceAll(/(?<!rows\[k\] = )\b(x|dy|residual)\[([^\]]+)\]!/g, 'numbers[$1[$2]!]!')
      .replaceAll(/\b(y|dx|dresidual)\[([^\]]+)\] = ([^;]+);/g, '$1[$2] = float16Bits($3);')
      // What is copied stays bits.
      .replace(/(function gather\([^{]+\{)\n {2}const numbers = float16Numbers\(\);/, '$1'),
};

for (const name of ['loops', 'gated']) {
  const [, ...code] = (await readFile(new URL(`${name}.float32.ts`, folder), 'utf8')).split(/^(?=import )/m);
  for (const [dtype, made] of Object.entries(dtypes)) {
    const header = `// Made from ${name}.float32.ts by scripts/make-dtypes.mjs. Edit that file.\n`;
    await writeFile(new URL(`${name}.${dtype}.ts`, folder), header + made(code.join('')));
  }
}
