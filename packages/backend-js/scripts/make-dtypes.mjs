// Writes the loops for the other kinds of activation, src/*.float64.ts and src/*.float16.ts, of src/*.float32.ts; and for
// each kind src/relu.*.ts, `normalize` of src/gated.*.ts without a residual.
import { readFile, writeFile } from 'node:fs/promises';

const folder = new URL('../src/', import.meta.url);
const dtypes = {
  float32: (code) => code,
  float64: (code) => code.replaceAll('Float32Array', 'Float64Array'),
  // Elements are bits: numbers are looked up where they are read, and made bits again where they are written.
  float16: (code) =>
    code
      .replace('passed: Activation = new Float32Array', 'passed: Vector = new Float64Array')
      .replaceAll('Float32Array', 'Uint16Array')
      .replace(/^(?=import type \{ Block)/m, "import { float16Bits, float16Numbers } from '@batchnorm/core-api';\n")
      .replaceAll(/\): void \{$/gm, '): void {\n  const numbers = float16Numbers();')
      .replaceAll(/(?<!rows\[k\] = |kept\[0\] = )\b(x|dy|residual)\[([^\]]+)\]!/g, 'numbers[$1[$2]!]!')
      .replaceAll(/\b(y|dx|dresidual)\[([^\]]+)\] = ([^;]+);/g, '$1[$2] = float16Bits($3);')
      // What is copied stays bits.
      .replaceAll(/(function (?:gather|letThrough)\([^)]+\): void \{)\n {2}const numbers = float16Numbers\(\);/g, '$1'),
};
const [loops, gated] = await Promise.all(['loops', 'gated'].map(sourceOf));
const withoutResidual = gated
  .slice(0, gated.indexOf('/** sum += '))
  .replaceAll(/ residual: Activation,| \+ residual\[[^\]]+\]!/g, '')
  .replace(' + residual;', ';');

for (const [dtype, madeOf] of Object.entries(dtypes)) {
  if (dtype !== 'float32') {
    await write('loops', dtype, madeOf(loops));
    await write('gated', dtype, madeOf(gated));
  }
  await write('relu', dtype, madeOf(withoutResidual), 'gated');
}

/** Without its first remarks. */
async function sourceOf(name) {
  const [, ...code] = (await readFile(new URL(`${name}.float32.ts`, folder), 'utf8')).split(/^(?=import )/m);
  return code.join('');
}

function write(name, dtype, code, source = name) {
  const header = `// Made from ${source}.float32.ts by scripts/make-dtypes.mjs. Edit that file.\n`;
  return writeFile(new URL(`${name}.${dtype}.ts`, folder), header + code);
}
