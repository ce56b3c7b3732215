// Shaders over elements: y, dx, and what ReLU let pass. A thread has a column of a group of rows: it reads all of them
// before it writes.
import { computedType, gateText, maskText } from './elements.js';
import { group, type LayoutClass, threads } from './layout.js';
import { type Bindings, type Shader, shader, workgroupNumber, workgroupParameters } from './shader.js';

/** What there is of a forward's normalisation. */
export interface Normalizing {
  readonly relu: boolean;
  readonly residual: boolean;
  /** y is written over x. */
  readonly inPlace: boolean;
  /** y will be stored as float16: what becomes 0 there has not passed. */
  readonly float16: boolean;
}

/** The bits of the largest float32 that is 0 as float16, 2⁻²⁵. */
const largestFloat16Zero = 0x33000000;

/** y = (x − meanHigh) · scale + shift + residual; behind ReLU, what of that it lets pass. */
export function normalize(layout: LayoutClass, { relu, residual, inPlace, float16 }: Normalizing): Shader {
  const type = computedType(layout);
  const z = `(x - by.meanHigh) * by.scale + by.shift${residual ? ' + added' : ''}`;
  return elementwise(layout, {
    bindings: {
      coefficients: { type: 'Coefficients' },
      ...(!inPlace && { x: { type } }),
      ...(residual && { residual: { type } }),
      ...(relu && { gate: { type: 'u32', isWritten: true } }),
      y: { type, isWritten: true },
    },
    functions: `${relu ? gateText(layout) : ''}
struct Around { meanHigh: ${type}, scale: ${type}, shift: ${type} }`,
    around: ['meanHigh', 'scale', 'shift'].map((field) => (channel) => `coefficients[${channel}].${field}`),
    reads: { x: inPlace ? 'y[at]' : 'x[at]', ...(residual && { added: 'residual[at]' }) },
    before: relu ? 'var bits = 0u;' : '',
    results: relu
      ? `let z = ${z};
      let passed = gateBits(z, ${float16 ? largestFloat16Zero : 0}u);
      bits |= passed << (k * ${layout.width}u);
      y[at] = select(${type}(), z, gateOf(passed, 0u));`
      : `y[at] = ${z};`,
    after: relu ? 'gate[rowGroup * P.columns + column] = bits;' : '',
  });
}

/** What there is of a gradient's way back. */
export interface Differentiating {
  readonly relu: boolean;
  /** dresidual = g is wanted, too. */
  readonly residual: boolean;
  /** Through the statistics of the batch, and not by those that were given. */
  readonly throughStatistics: boolean;
  /** Only values that count had a part in the statistics. */
  readonly masked: boolean;
  /** dx is written over dy. */
  readonly inPlace: boolean;
}

/**
 * dx = scale · (g − dyMean − (x − meanHigh) · slope), with slope = dgamma · invStd / M, and dyMean = dbeta / M − meanLow ·
 * slope, which has the rest of the mean. By constant statistics dx = scale · g.
 */
export function inputGradient(layout: LayoutClass, options: Differentiating): Shader {
  const { relu, residual, throughStatistics, masked, inPlace } = options;
  const type = computedType(layout);
  const isMasked = masked && throughStatistics;
  const slope = (channel: string) => `gradients[${channel}].dgamma * coefficients[${channel}].invStd * P.overCount`;
  const dyMean = (channel: string) =>
    `(gradients[${channel}].dbeta.high + gradients[${channel}].dbeta.low) * P.overCount` +
    ` - coefficients[${channel}].meanLow * (${slope(channel)})`;
  const through = 'g - by.dyMean - (x - by.meanHigh) * by.slope';
  const term = isMasked ? `select(g, ${through}, counts(row, column))` : throughStatistics ? through : 'g';
  return elementwise(layout, {
    bindings: {
      coefficients: { type: 'Coefficients' },
      ...(throughStatistics && { gradients: { type: 'Gradients' }, x: { type } }),
      ...(!inPlace && { dy: { type } }),
      ...(relu && { gate: { type: 'u32' } }),
      ...(isMasked && { mask: { type: 'u32' } }),
      ...(residual && { dresidual: { type, isWritten: true } }),
      dx: { type, isWritten: true },
    },
    functions: `${relu ? gateText(layout) : ''}${isMasked ? maskText(layout) : ''}
struct Around { scale: ${type}${throughStatistics ? `, meanHigh: ${type}, slope: ${type}, dyMean: ${type}` : ''} }`,
    around: [
      (channel) => `coefficients[${channel}].scale`,
      ...(throughStatistics ? [(channel: string) => `coefficients[${channel}].meanHigh`, slope, dyMean] : []),
    ],
    reads: { ...(throughStatistics && { x: 'x[at]' }), dy: inPlace ? 'dx[at]' : 'dy[at]' },
    before: relu ? 'let bits = gate[rowGroup * P.columns + column];' : '',
    results: `let g = ${relu ? `select(${type}(), dy, gateOf(bits, k))` : 'dy'};
      ${residual ? 'dresidual[at] = g;' : ''}
      dx[at] = by.scale * (${term});`,
    after: '',
  });
}

interface Elementwise {
  readonly bindings: Bindings;
  /** Functions, and `Around`: what does not change along a channel. */
  readonly functions: string;
  /** The fields of `Around`, of a channel. */
  readonly around: readonly ((channel: string) => string)[];
  /** What is read of element `at`, by name. */
  readonly reads: Readonly<Record<string, string>>;
  readonly before: string;
  /** Statements that write element `at`, which is in row `k` of the thread's group, with what was read and `by`. */
  readonly results: string;
  readonly after: string;
}

function elementwise(
  layout: LayoutClass,
  { bindings, functions, around, reads, before, results, after }: Elementwise,
): Shader {
  const { arrangement, width, lanes } = layout;
  const type = computedType(layout);
  const down = threads / lanes;
  const names = Object.keys(reads);
  const rows = Array.from({ length: group }, (_, k) => k);
  const fields = around.map((field) =>
    arrangement === 'rows' && width === 4
      ? `vec4f(${[0, 1, 2, 3].map((c) => field(`(4u * index + ${c}u)`)).join(', ')})`
      : `${type}(${field('index')})`,
  );
  return shader(
    bindings,
    `
${functions}
fn aroundOf(index: u32) -> Around {
  return Around(
    ${fields.join(',\n    ')}
  );
}

@compute @workgroup_size(${lanes}, ${down}) fn main(${workgroupParameters}
  @builtin(local_invocation_id) thread: vec3u,
) {
  ${workgroupNumber}
  let chunks = (P.columns + ${lanes - 1}u) / ${lanes}u;
  let column = (id % chunks) * ${lanes}u + thread.x;
  let rowGroup = (id / chunks) * ${down}u + thread.y;
  let begin = rowGroup * ${group}u;
  if (column >= P.columns || begin >= P.rows) { return; }
  let last = P.rows - 1u;
  ${rows.map((k) => `let at${k} = min(begin + ${k}u, last) * P.columns + column;`).join('\n  ')}
  ${rows.flatMap((k) => names.map((name) => `let ${name}${k} = ${reads[name]!.replace('[at]', `[at${k}]`)};`)).join('\n  ')}
  ${arrangement === 'rows' ? 'let by = aroundOf(column);' : ''}
  ${before}
  ${rows
    .map(
      (k) => `if (begin + ${k}u <= last) {
      let k = ${k}u;
      let row = begin + k;
      let at = at${k};
      ${names.map((name) => `let ${name} = ${name}${k};`).join(' ')}
      ${arrangement === 'runs' ? 'let by = aroundOf(row % P.channels);' : ''}
      ${results}
    }`,
    )
    .join('\n  ')}
  ${after}
}`,
  );
}
