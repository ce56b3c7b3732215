// The GPU kernels, as the text that gpu.js compiles. It reads kernels by `Function.toString()`, which bundlers,
// minifiers and coverage tools would spoil; and in a text an extent's sizes are literals.
//
// Sums are compensated: each addition keeps its rounding error (Neumaier). Shader compilers may simplify (a + b) − a to
// b, and may add up three terms in another order: Mesa's does both, the latter once a loop is unrolled. Therefore such
// an expression is multiplied by `one`, an argument that is 1, before anything is added to it.
// `Math.fround` makes the arithmetic float32 in `cpu` mode, where it would be float64 and no error would be found.
import { type Extent, type Nonlinearity, valuesPerChannel } from '@batchnorm/core-api';
import { largestCoefficient, largestVariance, leastVariance, smallestNormal } from '@batchnorm/core-api/float32-range';

/** A GPU kernel: `text` is a JavaScript function, which `width` × `height` threads run. */
export interface Source {
  readonly text: string;
  readonly width: number;
  readonly height: number;
}

/** Tables hold vectors of [C], row by row: row r of channel c lies at r·C + c. */
export const momentRows: readonly string[] = ['pivot', 'sumHigh', 'sumLow', 'squaresHigh', 'squaresLow'];
export const coefficientRows: readonly string[] = ['meanHigh', 'meanLow', 'invStd', 'scale', 'shift'];
export const gradientRows: readonly string[] = ['dbetaHigh', 'dbetaLow', 'dgamma', 'dyMean', 'slope'];
/** Sums that were added up over several batches, as the host gives them. */
export const totalRows: readonly string[] = ['dbetaHigh', 'dbetaLow', 'dgamma'];

export interface Sources {
  readonly partialOffsets: Source;
  readonly pivots: Source;
  readonly partialMoments: Source;
  /** The same for an epsilon so small that squares of small deviations must not become 0. */
  readonly partialMomentsWithoutEpsilon: Source;
  /** The same of positions that count. */
  readonly maskedOffsets: Source;
  readonly maskedPivots: Source;
  readonly maskedMoments: Source;
  readonly maskedMomentsWithoutEpsilon: Source;
  readonly moments: Source;
  readonly coefficients: Source;
  readonly normalize: Source;
  readonly normalizeWithResidual: Source;
  /** dy behind 'relu', as y tells it, or x and the residual. */
  readonly upstreamByResult: Source;
  readonly upstream: Source;
  readonly upstreamWithResidual: Source;
  readonly partialGradients: Source;
  readonly gradients: Source;
  readonly gradientsOfTotal: Source;
  readonly inputGradient: Source;
  readonly maskedInputGradient: Source;
  readonly scaledGradient: Source;
}

/** Declares the constant `name`: what element `k` adds to a sum. */
type Term = (name: string) => string;

/** Adds the constants of these names to the sum, which is `high` + `low`. */
type Addition = (names: readonly string[]) => string;

/** How many terms a loop adds up per turn, where blocks are multiples of that: loops are half the time of a sum. */
const turn = 4;

/** How many blocks, each added up by one thread, a sum of M values has: about √M/2, so that both stages are short. */
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

/** Up to this n, ⌊(n + 1/2) · (1/d)⌋ is ⌊n/d⌋ in float32, although two roundings are in it. */
const exactByReciprocal = 2 ** 21;

/**
 * The sources for an extent, and what comes after the normalisation. With `threadRows`, threads form rows of `width`; without, they are one row of width ·
 * height, which gpu.js folds into textures near square, so that no size meets a texture's limit. Indices are float32 in
 * WebGL, and exact up to 2²⁴.
 */
export function sourcesFor(extent: Extent, activation: Nonlinearity, threadRows: boolean): Sources {
  const C = extent.channels;
  const M = valuesPerChannel(extent);
  // One channel is one run, whatever the layout: better a long row of threads than a column.
  const [outer, inner] = C === 1 ? [1, M] : [extent.outer, extent.inner];
  const blocks = blocksOf(M);
  const blockLength = Math.ceil(M / blocks);
  // Of an activation, of the blocks of two sums, or of a table.
  const mostThreads = Math.max(M, 2 * blocks, coefficientRows.length) * C;

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

  /** A kernel for each element: its index is `thread`, its channel `c`. `body` returns its value. */
  const elementwise = (args: string, body: string): Source =>
    inner === 1
      ? kernel(args, C, outer, `const c = column; ${body}`)
      : kernel(args, inner, outer * C, `${divide('o', 'row', C)} const c = row - o * ${C}; ${body}`);

  /** Where the element of a thread is in a mask. */
  const position = inner === 1 ? 'row' : `o * ${inner} + column`;

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

  const compensated: Addition = (names) => names.map((name, n) => add('high', 'low', name, String(n))).join('');
  const plain: Addition = (names) => `high = high + (${names.join(' + ')});`;

  /**
   * First stage: a row of threads for each block of a channel's values, which does `first`, and `others` rows which do
   * `second`, each for its block. `head` declares what does not change with the element.
   */
  const blockwise = (args: string, head: string, first: string, others: number, second: string): Source =>
    kernel(
      `${args}, one`,
      C,
      blocks + others,
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
      if (row < ${blocks}) { ${first} } else { ${second} }
      return high + low;`,
    );

  /** Adds up a term over a block. With a mask, `p` is where element `k` is in it. */
  const sumOfBlock = (term: Term, addition: Addition, masked = false): string => {
    const start = masked ? 'let p = begin;' : '';
    const next = masked ? `${advance} p = p + 1;` : advance;
    if (blocks * blockLength === M && blockLength % turn === 0) {
      const names = Array.from({ length: turn }, (_, n) => `term${n}`);
      const terms = names.map((name) => `${term(name)} ${next}`).join('');
      return `${start} for (let n = 0; n < ${blockLength / turn}; n++) { ${terms} ${addition(names)} }`;
    }
    return `${start} for (let n = 0; n < ${blockLength}; n++) {
      if (begin + n < ${M}) { ${term('term')} ${addition(['term'])} }
      ${next}
    }`;
  };

  /** Declares the constant `name` = x − `from`, of element `k`. Where that does not count it is 0, whatever x is. */
  const deviation = (name: string, from: string, masked: boolean): string =>
    masked
      ? `let ${name} = 0; if (mask[p] > 0) ${name} = Math.fround(x[k] - ${from});`
      : `const ${name} = Math.fround(x[k] - ${from});`;

  /** Second stage: adds up the blocks of each sum that is named, for a table whose row `results` puts into `result`. */
  const merge = (args: string, names: readonly string[], rows: readonly string[], results: string): Source =>
    kernel(
      `sums, ${args}one`,
      C,
      rows.length,
      `const c = column;
      ${names.map((name) => `let ${name}High = 0; let ${name}Low = 0;`).join('\n')}
      for (let block = 0; block < ${blocks}; block++) {
        ${names
          .map(
            (name, index) => `
            const ${name} = sums[(${index * blocks} + block) * ${C} + c];
            ${add(`${name}High`, `${name}Low`, name, name)}`,
          )
          .join('')}
      }
      ${results}
      ${rowOf(rows)}`,
    );

  /** Returns the value that is named like the row of the table, unless `otherwise` replaces it. */
  const rowOf = (rows: readonly string[], otherwise = '') => `
    let result = ${rows[0]};
    ${rows
      .slice(1)
      .map((name, index) => `if (row === ${index + 1}) result = ${name};`)
      .join('\n')}
    ${otherwise}
    return result;`;

  /**
   * Whether |value| ≤ `limit`, a power of two; false for NaN. gpu.js can write 1/limit into a shader, but not `limit`.
   */
  const atMost = (value: string, limit: number) => `Math.abs(${value}) * ${1 / limit} <= 1`;

  const coefficient = (name: string) => `coefficients[${coefficientRows.indexOf(name) * C} + c]`;
  const gradient = (name: string) => `gradients[${gradientRows.indexOf(name) * C} + c]`;
  const ofTotal = (name: string) => `total[${totalRows.indexOf(name) * C} + c]`;
  const moment = (name: string) => `moments[${momentRows.indexOf(name) * C} + c]`;

  /** Σ d of blocks, d = x − first, and `first` itself. */
  const partialOffsets = (args: string, first: string, masked: boolean): Source =>
    blockwise(
      args,
      `const first = x[${first}];`,
      sumOfBlock((term) => deviation(term, 'first', masked), plain, masked),
      1,
      'high = first;',
    );

  const pivots = (args: string, overM: string): Source =>
    merge(
      args,
      ['offset'],
      ['pivot'],
      `const first = sums[${blocks * C} + c];
      const pivot = Math.fround(first + Math.fround((offsetHigh + offsetLow) * ${overM}));`,
    );

  /** Σ d and Σ d², d = x − pivot. `ofSquare` declares a term of the latter, of its root. */
  const partialMoments = (args: string, ofSquare: (term: string, root: string) => string, masked: boolean): Source =>
    blockwise(
      args,
      'const pivot = pivots[c];',
      sumOfBlock((term) => deviation(term, 'pivot', masked), compensated, masked),
      blocks,
      sumOfBlock(
        (term) => `${deviation(`${term}Root`, 'pivot', masked)} ${ofSquare(term, `${term}Root`)}`,
        compensated,
        masked,
      ),
    );

  /**
   * dx = scale · (dy − dyMean − (x − meanHigh) · slope), where dyMean has the rest of the mean. `overM` is 1/M of the
   * values that were normalised together: a product is two roundings, where a GPU's division may be off by some units.
   */
  const gradientsOf = (dgamma: string) => `
      const meanLow = ${coefficient('meanLow')};
      const invStd = ${coefficient('invStd')};
      const dgamma = ${dgamma};
      const slope = dgamma * invStd * overM;
      const dyMean = (dbetaHigh + dbetaLow) * overM - meanLow * slope;`;

  const square = (term: string, root: string) => `const ${term} = Math.fround(${root} * ${root});`;

  // Only deviations of 0 have squares of 0: all other squares are at least the smallest normal number.
  const normalSquare = (term: string, root: string) =>
    `let ${term} = Math.fround(${root} * ${root});
    if (Math.abs(${root}) > 0) ${term} = Math.max(${term}, ${smallestNormal});`;

  const z = `(x[thread] - ${coefficient('meanHigh')}) * ${coefficient('scale')} + ${coefficient('shift')}`;
  /** NaN passes, for it is not at most 0. A compiler would make max(y, 0) of it, which is 0, if it knew `zero`. */
  const relu = (z: string) => `let y = Math.fround(${z}); if (y <= 0) y = zero; return y;`;
  const normalize = (args: string, z: string): Source =>
    activation === 'relu' ? elementwise(`${args}, zero`, relu(z)) : elementwise(args, `return ${z};`);
  /** dy where `y` is positive or NaN, and 0 elsewhere. */
  const upstream = (args: string, y: string): Source =>
    elementwise(args, `let g = dy[thread]; if (${y} <= 0) g = 0; return g;`);

  /** The term of dx through the statistics, whose factor is scale. */
  const throughStatistics = `dy[thread] - ${gradient('dyMean')} - (x[thread] - ${coefficient('meanHigh')}) * ${gradient('slope')}`;

  return {
    // A pivot is the mean, rounded. No value of the channel can be nearer to the mean, so that the pivot is within one
    // deviation of it, whatever the values are (docs/numerics.md). Offsets are summed from the first value; any would
    // do.
    partialOffsets: partialOffsets('x', `c * ${inner}`, false),
    pivots: pivots('', `${1 / M}`),
    partialMoments: partialMoments('x, pivots', square, false),
    partialMomentsWithoutEpsilon: partialMoments('x, pivots', normalSquare, false),

    // `start` is where channel 0 has its first value that counts.
    maskedOffsets: partialOffsets('x, mask, start', `start + c * ${inner}`, true),
    maskedPivots: pivots('overM, ', 'overM'),
    maskedMoments: partialMoments('x, mask, pivots', square, true),
    maskedMomentsWithoutEpsilon: partialMoments('x, mask, pivots', normalSquare, true),

    moments: merge('pivots, ', ['sum', 'squares'], momentRows, 'const pivot = pivots[c];'),

    // y = (x − meanHigh) · scale + shift, where shift has the rest of the mean: meanLow is at most a deviation. 1/√ is
    // refined by a Newton step, because a GPU's square root and division may be some units off.
    // Beyond the range of float32 (`fitsBatch` in range.ts) all coefficients are NaN. NaN is an argument, the last of
    // `parameters`, because a compiler may simplify an expression for it. Where squaresHigh is NaN, comparisons may
    // give anything, but squaresHigh · (one − 1) is NaN.
    coefficients: kernel(
      'moments, parameters, epsilon, overM, one',
      C,
      coefficientRows.length,
      `const c = column;
      const meanHigh = ${moment('pivot')};
      const total = ${moment('sumHigh')} + ${moment('sumLow')};
      const meanLow = Math.fround(total * overM);
      const squaresHigh = ${moment('squaresHigh')};
      const squares = squaresHigh - total * meanLow + ${moment('squaresLow')};
      const variance = Math.max(0, squares * overM) + epsilon;
      let invStd = 0;
      if (variance > 0) {
        const rough = 1 / Math.sqrt(variance);
        invStd = rough * (1.5 - 0.5 * variance * rough * rough);
      }
      let scale = parameters[c] * invStd;
      let shift = parameters[${C} + c] - meanLow * scale;
      const nan = parameters[${2 * C}];
      let isLost = 1;
      if (squaresHigh === 0 || variance >= ${leastVariance}) {
        if (${atMost('squaresHigh', largestVariance)} && ${atMost('variance', largestVariance)}) isLost = 0;
      }
      let isScaleLost = 1;
      if (${atMost('scale', largestCoefficient)}) isScaleLost = 0;
      let isShiftLost = isScaleLost;
      if (Math.abs(shift) * ${1 / largestCoefficient} > 1) isShiftLost = 1;
      if (isScaleLost > 0) scale = nan;
      if (isShiftLost > 0) shift = nan;
      ${rowOf(
        coefficientRows,
        `if (isLost > 0) result = nan;
        result = result + squaresHigh * (one - 1);`,
      )}`,
    ),

    normalize: normalize('x, coefficients', z),
    normalizeWithResidual: normalize('x, coefficients, residual', `${z} + residual[thread]`),

    // By the y of the forward, or by the z of the same expression: Math.fround makes that what y was in `cpu` mode, too.
    upstreamByResult: upstream('y, dy', 'y[thread]'),
    upstream: upstream('x, coefficients, dy', `Math.fround(${z})`),
    upstreamWithResidual: upstream('x, coefficients, residual, dy', `Math.fround(${z} + residual[thread])`),

    // Σ dy and Σ dy · (x − meanHigh).
    partialGradients: blockwise(
      'x, dy, coefficients',
      `const meanHigh = ${coefficient('meanHigh')};`,
      sumOfBlock((term) => `const ${term} = dy[k];`, compensated),
      blocks,
      sumOfBlock((term) => `const ${term} = Math.fround(dy[k] * Math.fround(x[k] - meanHigh));`, compensated),
    ),

    gradients: merge(
      'coefficients, overM, ',
      ['dbeta', 'product'],
      gradientRows,
      gradientsOf('(productHigh - meanLow * dbetaHigh + productLow) * invStd'),
    ),

    gradientsOfTotal: kernel(
      'total, coefficients, overM',
      C,
      gradientRows.length,
      `const c = column;
      const dbetaHigh = ${ofTotal('dbetaHigh')};
      const dbetaLow = ${ofTotal('dbetaLow')};
      ${gradientsOf(ofTotal('dgamma'))}
      ${rowOf(gradientRows)}`,
    ),

    inputGradient: elementwise(
      'x, dy, coefficients, gradients',
      `return ${coefficient('scale')} * (${throughStatistics});`,
    ),

    maskedInputGradient: elementwise(
      'x, dy, mask, coefficients, gradients',
      `let term = dy[thread];
      if (mask[${position}] > 0) term = ${throughStatistics};
      return ${coefficient('scale')} * term;`,
    ),

    scaledGradient: elementwise('dy, coefficients', `return dy[thread] * ${coefficient('scale')};`),
  };
}
