// The first stage of a reduction: two sums over each channel, in blocks of a thread each. A thread adds up eight terms at
// a time as a tree, and trees so that no rounding error is lost. Threads share nothing: a block's sums are few bytes
// beside its elements, and waiting for each other is what costs most where a processor draws.
import { computedType, gateText, maskText } from './elements.js';
import { group, type LayoutClass, threads } from './layout.js';
import { type Bindings, type Shader, shader, workgroupNumber, workgroupParameters } from './shader.js';

interface Summing {
  readonly bindings: Bindings;
  /** Functions that `around` and `terms` need. */
  readonly functions: string;
  /** Fields of what does not change along a channel, as struct members of the computed type. */
  readonly fields: readonly string[];
  /** The value of each field, of `channel`. */
  readonly field: (name: string) => string;
  /** Whether the sums of `channel` are wanted. */
  readonly isWanted: string;
  /** Statements that declare `first` and `second`, of element `at` at (`row`, `column`), by `around`. */
  readonly terms: string;
}

const smallestNormal = 2 ** -126;

/** Σ d and Σ d² of the values that count, d = x − pivot, of channels that have a round left. */
export function momentSums(layout: LayoutClass, masked: boolean): Shader {
  const type = computedType(layout);
  // A square below the smallest normal number may become 0, which only that of 0 must be.
  const terms = `
    var d = x[at] - around.pivot;
    ${masked ? `d = select(${type}(), d, counts(row, column));` : ''}
    let first = d;
    let second = d * d + select(${type}(${smallestNormal}f), ${type}(), d == ${type}());`;
  return sums(layout, {
    bindings: { x: { type }, moments: { type: 'Moments' }, ...(masked && { mask: { type: 'u32' } }) },
    functions: masked ? maskText(layout) : '',
    fields: ['pivot'],
    field: () => 'moments[channel].pivot',
    isWanted: 'moments[channel].rounds > 0u',
    terms,
  });
}

/** Σ g and Σ g · (x − meanHigh), where g is dy behind ReLU, or dy. */
export function gradientSums(layout: LayoutClass, gated: boolean): Shader {
  const type = computedType(layout);
  const bits = `gate[(row / ${group}u) * P.columns + column]`;
  const g = gated ? `select(${type}(), dy[at], gateOf(${bits}, row % ${group}u))` : 'dy[at]';
  return sums(layout, {
    bindings: {
      x: { type },
      dy: { type },
      coefficients: { type: 'Coefficients' },
      ...(gated && { gate: { type: 'u32' } }),
    },
    functions: gated ? gateText(layout) : '',
    fields: ['meanHigh'],
    field: () => 'coefficients[channel].meanHigh',
    isWanted: 'true',
    terms: `let first = ${g}; let second = first * (x[at] - around.meanHigh);`,
  });
}

const each = <T>(count: number, text: (k: number) => T): T[] => Array.from({ length: count }, (_, k) => text(k));

function sums(layout: LayoutClass, summing: Summing): Shader {
  const type = computedType(layout);
  const of = layout.width === 4 ? '4' : '';
  const { bindings, functions, fields, field, terms } = summing;
  const common = `
${functions}
struct Around { ${fields.map((name) => `${name}: ${type}`).join(', ')} }
struct Terms { first: ${type}, second: ${type} }
struct Sums { first: Pair${of}, second: Pair${of} }

fn termsOf(isIn: bool, row: u32, column: u32, around: Around) -> Terms {
  let at = min(row * P.columns + column, P.rows * P.columns - 1u);
  ${terms}
  return Terms(select(${type}(), first, isIn), select(${type}(), second, isIn));
}
fn sumOf(sums: Sums, ${each(group, (k) => `t${k}: Terms`).join(', ')}) -> Sums {
  return Sums(plus${of}(sums.first, ${treeOf('first')}), plus${of}(sums.second, ${treeOf('second')}));
}
`;
  const body = layout.arrangement === 'rows' ? overRows(layout, summing) : overRuns(layout, summing);
  return shader(
    { ...bindings, partials: { type: 'Partial', isWritten: true } },
    common + around(layout, fields, field) + body,
  );
}

function treeOf(name: string): string {
  const [a, b, c, d, e, f, g, h] = each(group, (k) => `t${k}.${name}`);
  return `((${a} + ${b}) + (${c} + ${d})) + ((${e} + ${f}) + (${g} + ${h}))`;
}

/** `aroundOf(column)` of rows, `aroundOf(channel)` of runs. */
function around(layout: LayoutClass, fields: readonly string[], field: (name: string) => string): string {
  const one = (name: string, channel: string) => field(name).replace('channel', channel);
  const isVectorOfChannels = layout.arrangement === 'rows' && layout.width === 4;
  const values = fields.map((name) =>
    isVectorOfChannels
      ? `vec4f(${each(4, (k) => one(name, `4u * index + ${k}u`)).join(', ')})`
      : `${computedType(layout)}(${one(name, 'index')})`,
  );
  return `fn aroundOf(index: u32) -> Around { return Around(${values.join(', ')}); }\n`;
}

/** The terms of one turn, `next` between two of them. */
const turn = (term: (k: number) => string, next = ''): string =>
  each(group, (k) => `let t${k} = ${term(k)};${next}`).join('\n      ') +
  `\n      mine = sumOf(mine, ${each(group, (k) => `t${k}`).join(', ')});`;

/** A thread has a column, and a block of its rows. */
function overRows({ width, lanes }: LayoutClass, { isWanted }: Summing): string {
  const wanted = (k: number) => `(${isWanted.replace('channel', width === 4 ? `4u * column + ${k}u` : 'column')})`;
  const part = (pair: string, k: number) =>
    width === 4 ? `Pair(mine.${pair}.high[${k}], mine.${pair}.low[${k}])` : `mine.${pair}`;
  const down = threads / lanes;
  return `
@compute @workgroup_size(${lanes}, ${down}) fn main(${workgroupParameters}
  @builtin(local_invocation_id) thread: vec3u,
) {
  ${workgroupNumber}
  let chunks = (P.columns + ${lanes - 1}u) / ${lanes}u;
  let block = (id / chunks) * ${down}u + thread.y;
  let column = (id % chunks) * ${lanes}u + thread.x;
  if (block >= P.blocks || column >= P.columns || !(${each(width, wanted).join(' || ')})) { return; }
  let around = aroundOf(column);
  let end = min((block + 1u) * P.blockLength, P.rows);
  var mine = Sums();
  for (var row = block * P.blockLength; row < end; row += ${group}u) {
    ${turn((k) => `termsOf(row + ${k}u < end, row + ${k}u, column, around)`)}
  }
  ${each(
    width,
    (k) => `if (${wanted(k)}) {
    partials[block * P.channels + column * ${width}u + ${k}u] = Partial(${part('first', k)}, ${part('second', k)});
  }`,
  ).join('\n  ')}
}
`;
}

/** Some threads share a stretch of a channel's elements, run after run: each has a block of every so many of them. */
function overRuns({ width, sharing }: LayoutClass, { isWanted }: Summing): string {
  const fold = (pair: string) => {
    const [x, y, z, w] = each(4, (k) => `Pair(mine.${pair}.high[${k}], mine.${pair}.low[${k}])`);
    return width === 4 ? `both(both(${x}, ${y}), both(${z}, ${w}))` : `mine.${pair}`;
  };
  const next = `
      element += ${sharing}u;
      row += P.laneRows * P.channels;
      column += P.laneColumns;
      if (column >= P.columns) { column -= P.columns; row += P.channels; }`;
  return `
@compute @workgroup_size(${threads}) fn main(${workgroupParameters}
  @builtin(local_invocation_index) thread: u32,
) {
  ${workgroupNumber}
  let member = id * ${threads / sharing}u + thread / ${sharing}u;
  let lane = thread % ${sharing}u;
  let stretches = P.blocks / ${sharing}u;
  let channel = member / stretches;
  if (channel >= P.channels || !(${isWanted})) { return; }
  let stretch = member % stretches;
  let around = aroundOf(channel);
  let end = min((stretch + 1u) * P.blockLength, (P.rows / P.channels) * P.columns);
  var element = stretch * P.blockLength + lane;
  var row = (element / P.columns) * P.channels + channel;
  var column = element % P.columns;
  var mine = Sums();
  while (element < end) {
      ${turn(() => 'termsOf(element < end, row, column, around)', next)}
  }
  partials[(stretch * ${sharing}u + lane) * P.channels + channel] = Partial(${fold('first')}, ${fold('second')});
}
`;
}
