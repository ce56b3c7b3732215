// The kernels, as the text that gpu.js compiles. It reads kernels as text anyway (`Function.toString()`); written as text
// they survive bundlers, minifiers and coverage tools, and an extent's sizes are literals in them.
//
// Sums are compensated: each addition keeps its rounding error (Neumaier). Shader compilers may simplify (a + b) − a to b, and
// sum three terms in another order; Mesa's does both, the latter once a loop is unrolled. Each such expression is therefore
// multiplied by `one`, an argument that is 1, before it goes on.
// `Math.fround` makes the arithmetic float32 in `cpu` mode, where it would be float64 and no error would be found.
import { type Extent, valuesPerChannel } from '@batchnorm/core-api';

/** A kernel: `text` is a function of the arguments of its array, run by `width` × `height` threads. */
export interface Source {
  readonly text: string;
  readonly width: number;
  readonly height: number;
}

/** Tables hold vectors of [C], row by row: row r of channel c lies at r·C + c. */
export const momentRows: readonly string[] = ['sumHigh', 'sumLow', 'squaresHigh', 'squaresLow', 'pivot'];
export const coefficientRows: readonly string[] = ['meanHigh', 'meanLow', 'invStd', 'scale', 'shift'];
export const gradientRows: readonly string[] = ['dbetaHigh', 'dbetaLow', 'dgamma', 'dyMean', 'slope'];

export interface Sources {
  readonly partialMoments: Source;
  readonly moments: Source;
  readonly coefficients: Source;
  readonly normalize: Source;
  readonly partialGradients: Source;
  readonly gradients: Source;
  readonly inputGradient: Source;
  readonly scaledGradient: Source;
}

/** Declares the constant `name`: what element `k` adds to a sum. */
type Term = (name: string) => string;

/** So many terms a turn, where the blocks of a sum can be cut so: loops and index arithmetic are half the time of a sum. */
const turn = 4;

/** In how many blocks a sum of M values is cut, by as many threads: both stages stay short. Whole turns, if M can be cut so. */
function blocksOf(M: number): number {
  const wanted = Math.ceil(Math.sqrt(M) / 2);
  for (let blocks = wanted; blocks <= 2 * wanted; blocks++) {
    if (M % (blocks * turn) === 0) return blocks;
  }
  return wanted;
}

/** A copy of `length` numbers on the device. */
export function copySource(length: number): Source {
  return { width: length, height: 1, text: 'function (values) { return values[this.thread.x]; }' };
}

/** Below this, (n + 1/2) · (1/d) lies on the right side of every integer although it is rounded twice. */
const exactByReciprocal = 2 ** 21;

/**
 * The sources for an extent. With `threadRows`, threads form rows of `width`; without, they are one row of width · height,
 * which gpu.js folds into textures near square, so that no size meets a texture's limit. Indices are float32 in WebGL, and exact
 * up to 2²⁴.
 */
export function sourcesFor(extent: Extent, threadRows: boolean): Sources {
  const C = extent.channels;
  const M = valuesPerChannel(extent);
  // One channel is one run, whatever the layout: better a long row of threads than a column.
  const [outer, inner] = C === 1 ? [1, M] : [extent.outer, extent.inner];
  const blocks = blocksOf(M);
  const blockLength = Math.ceil(M / blocks);
  // Of an activation, of the blocks of both sums and the pivots, or of a table.
  const mostThreads = Math.max(M, 2 * blocks + 1, coefficientRows.length) * C;

  /** Declares `quotient` = ⌊dividend / divisor⌋ of integers, exactly, though a GPU's division is not exact. */
  const divide = (quotient: string, dividend: string, divisor: number) => {
    if (divisor === 1) return `const ${quotient} = ${dividend};`;
    if (mostThreads <= exactByReciprocal)
      return `const ${quotient} = Math.floor((${dividend} + 0.5) * ${1 / divisor});`;
    return `
      let ${quotient} = Math.floor(${dividend} / ${divisor});
      const ${quotient}Rest = ${dividend} - ${quotient} * ${divisor};
      if (${quotient}Rest < 0) ${quotient} = ${quotient} - 1;
      if (${quotient}Rest >= ${divisor}) ${quotient} = ${quotient} + 1;`;
  };

  /** A kernel whose body knows its thread as `column` and `row`, and as `thread` in all. */
  const kernel = (args: string, width: number, height: number, body: string): Source => ({
    width,
    height,
    text: threadRows
      ? `function (${args}) {
          const column = this.thread.x;
          const row = this.thread.y;
          const thread = row * ${width} + column;
          ${body}
        }`
      : `function (${args}) {
          const thread = this.thread.x;
          ${divide('row', 'thread', width)}
          const column = thread - row * ${width};
          ${body}
        }`,
  });

  /** A kernel for each element: its index is `thread`, its channel `c`. */
  const elementwise = (args: string, result: string): Source =>
    inner === 1
      ? kernel(args, C, outer, `const c = column; return ${result};`)
      : kernel(args, inner, outer * C, `${divide('o', 'row', C)} const c = row - o * ${C}; return ${result};`);

  /** (high, low) += term: the rounding error of the addition goes to low. */
  const add = (high: string, low: string, term: string, id = '') => `
    const next${id} = Math.fround(${high} + ${term}) * one;
    let large${id} = ${high};
    let small${id} = ${term};
    if (Math.abs(${term}) > Math.abs(${high})) { large${id} = ${term}; small${id} = ${high}; }
    const taken${id} = Math.fround(next${id} - large${id}) * one;
    ${low} = Math.fround(${low} + Math.fround(small${id} - taken${id}) * one);
    ${high} = next${id};`;

  /** From element `k` of a channel to the next: `i` counts along its run. */
  const advance =
    inner === 1
      ? `k = k + ${C};`
      : `k = k + 1;
         i = i + 1;
         if (i >= ${inner}) { i = 0; k = k + ${(C - 1) * inner}; }`;

  /**
   * First stage: sums over the blocks of a channel's values, a row of threads for each block of `first`, then of `second`, and
   * below them, where there is a `last`, a row of its values. `head` declares what does not change with the element.
   */
  const partialSums = (args: string, head: string, first: Term, second: Term, last?: string): Source =>
    kernel(
      `${args}, one`,
      C,
      2 * blocks + (last === undefined ? 0 : 1),
      `const c = column;
      let block = row;
      if (row >= ${blocks}) block = row - ${blocks};
      ${head}
      const begin = block * ${blockLength};
      ${divide('o', 'begin', inner)}
      let i = begin - o * ${inner};
      let k = (o * ${C} + c) * ${inner} + i;
      let high = 0;
      let low = 0;
      if (row < ${blocks}) {
        ${sumOfBlock(first)}
      } else {
        ${last === undefined ? sumOfBlock(second) : `if (row < ${2 * blocks}) { ${sumOfBlock(second)} } else { high = ${last}; }`}
      }
      return high + low;`,
    );

  /** Adds up a term over a block. */
  const sumOfBlock = (term: Term): string => {
    if (blocks * blockLength === M && blockLength % turn === 0) {
      const terms = Array.from(
        { length: turn },
        (_, n) => `
          ${term(`term${n}`)}
          ${add('high', 'low', `term${n}`, String(n))}
          ${advance}`,
      );
      return `for (let n = 0; n < ${blockLength / turn}; n++) { ${terms.join('')} }`;
    }
    return `for (let n = 0; n < ${blockLength}; n++) {
      if (begin + n < ${M}) {
        ${term('term')}
        ${add('high', 'low', 'term')}
      }
      ${advance}
    }`;
  };

  /** Second stage: adds up the blocks of both sums, a and b, for a table whose row `results` puts into `result`. */
  const merge = (args: string, rows: readonly string[], results: string): Source =>
    kernel(
      `sums, ${args}one`,
      C,
      rows.length,
      `const c = column;
      let aHigh = 0;
      let aLow = 0;
      let bHigh = 0;
      let bLow = 0;
      for (let block = 0; block < ${blocks}; block++) {
        const a = sums[block * ${C} + c];
        const b = sums[(${blocks} + block) * ${C} + c];
        ${add('aHigh', 'aLow', 'a', 'A')}
        ${add('bHigh', 'bLow', 'b', 'B')}
      }
      ${results}`,
    );

  /** Returns the value that is named like the row of the table. */
  const rowOf = (rows: readonly string[]) => `
    let result = ${rows[0]};
    ${rows
      .slice(1)
      .map((name, index) => `if (row === ${index + 1}) result = ${name};`)
      .join('\n')}
    return result;`;

  const valueAt = (o: number, i: number) => `x[(${o * C} + c) * ${inner} + ${i}]`;
  const coefficient = (name: string) => `coefficients[${coefficientRows.indexOf(name) * C} + c]`;
  const gradient = (name: string) => `gradients[${gradientRows.indexOf(name) * C} + c]`;
  const moment = (name: string) => `moments[${momentRows.indexOf(name) * C} + c]`;

  return {
    // Σ d and Σ d², d = x − pivot, and below them the pivots: the median of three values of a channel, so that one outlier
    // does no harm.
    partialMoments: partialSums(
      'x',
      `const first = ${valueAt(0, 0)};
      const middle = ${valueAt(Math.floor(outer / 2), Math.floor(inner / 2))};
      const last = ${valueAt(outer - 1, inner - 1)};
      const pivot = Math.max(Math.min(first, middle), Math.min(Math.max(first, middle), last));`,
      (term) => `const ${term} = Math.fround(x[k] - pivot);`,
      (term) =>
        `const ${term}Root = Math.fround(x[k] - pivot); const ${term} = Math.fround(${term}Root * ${term}Root);`,
      'pivot',
    ),

    moments: merge(
      '',
      momentRows,
      `const sumHigh = aHigh;
      const sumLow = aLow;
      const squaresHigh = bHigh;
      const squaresLow = bLow;
      const pivot = sums[${2 * blocks * C} + c];
      ${rowOf(momentRows)}`,
    ),

    // y = (x − meanHigh) · scale + shift, where shift has the rest of the mean: meanLow · scale is small beside beta or y.
    // 1/√ is refined by a Newton step, because a GPU's square root and division may be some units off.
    coefficients: kernel(
      'moments, parameters, epsilon, one',
      C,
      coefficientRows.length,
      `const c = column;
      const pivot = ${moment('pivot')};
      const total = ${moment('sumHigh')} + ${moment('sumLow')};
      const delta = Math.fround(total / ${M});
      const meanHigh = Math.fround(pivot + delta) * one;
      const taken = Math.fround(meanHigh - pivot) * one;
      const rest = Math.fround(pivot - Math.fround(meanHigh - taken) * one) * one;
      const meanLow = Math.fround(rest + Math.fround(delta - taken));
      const squares = ${moment('squaresHigh')} - total * delta + ${moment('squaresLow')};
      const variance = Math.max(0, squares / ${M}) + epsilon;
      const rough = 1 / Math.sqrt(variance);
      const invStd = rough * (1.5 - 0.5 * variance * rough * rough);
      const scale = parameters[c] * invStd;
      const shift = parameters[${C} + c] - meanLow * scale;
      ${rowOf(coefficientRows)}`,
    ),

    normalize: elementwise(
      'x, coefficients',
      `(x[thread] - ${coefficient('meanHigh')}) * ${coefficient('scale')} + ${coefficient('shift')}`,
    ),

    // Σ dy and Σ dy · (x − meanHigh).
    partialGradients: partialSums(
      'x, dy, coefficients',
      `const meanHigh = ${coefficient('meanHigh')};`,
      (term) => `const ${term} = dy[k];`,
      (term) => `const ${term} = Math.fround(dy[k] * Math.fround(x[k] - meanHigh));`,
    ),

    // dx = scale · (dy − dyMean − (x − meanHigh) · slope), where dyMean has the rest of the mean.
    gradients: merge(
      'coefficients, ',
      gradientRows,
      `const dbetaHigh = aHigh;
      const dbetaLow = aLow;
      const meanLow = ${coefficient('meanLow')};
      const invStd = ${coefficient('invStd')};
      const dgamma = (bHigh - meanLow * aHigh + bLow) * invStd;
      const slope = (dgamma * invStd) / ${M};
      const dyMean = (aHigh + aLow) / ${M} - meanLow * slope;
      ${rowOf(gradientRows)}`,
    ),

    inputGradient: elementwise(
      'x, dy, coefficients, gradients',
      `${coefficient('scale')} *
        (dy[thread] - ${gradient('dyMean')} - (x[thread] - ${coefficient('meanHigh')}) * ${gradient('slope')})`,
    ),

    scaledGradient: elementwise('dy, coefficients', `dy[thread] * ${coefficient('scale')}`),
  };
}
