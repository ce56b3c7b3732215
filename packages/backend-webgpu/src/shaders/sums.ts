// The first stage of a reduction: two sums over each channel, in blocks of a workgroup each. A thread adds up eight
// terms at a time as a tree, and trees so that no rounding error is lost; threads of a workgroup merge in a fixed order.
import { computedType, gateText, maskText } from './elements.js';
import { group, type LayoutClass, rowLanes, threads } from './layout.js';
import { type Bindings, type Shader, shader } from './shader.js';

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

/** A thread has a column, and of a block every so many groups of rows. */
function overRows({ width, lanes }: LayoutClass, { isWanted }: Summing): string {
  const across = Math.min(lanes, rowLanes);
  const down = threads / across;
  const isWantedOf = (k: number) => `(${isWanted.replace('channel', width === 4 ? `4u * column + ${k}u` : 'column')})`;
  const component = (pair: string, k: number) =>
    width === 4 ? `Pair(mine.${pair}.high[${k}], mine.${pair}.low[${k}])` : `mine.${pair}`;
  return `
var<workgroup> ofLanes: array<Sums, ${threads}>;
fn bothSums(a: Sums, b: Sums) -> Sums { return Sums(both${width === 4 ? '4' : ''}(a.first, b.first), both${width === 4 ? '4' : ''}(a.second, b.second)); }

@compute @workgroup_size(${across}, ${down}) fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroupId.y * workgroups.x + workgroupId.x;
  let chunks = (P.columns + ${across - 1}u) / ${across}u;
  let block = id / chunks;
  if (block >= P.blocks) { return; }
  let column = (id % chunks) * ${across}u + thread.x;
  let begin = block * P.blockLength;
  let end = min(begin + P.blockLength, P.rows);
  var mine = Sums();
  if (column < P.columns && (${each(width, isWantedOf).join(' || ')})) {
    let around = aroundOf(column);
    for (var row = begin + thread.y * ${group}u; row < end; row += ${down * group}u) {
      mine = sumOf(mine, ${each(group, (k) => `termsOf(row + ${k}u < end, row + ${k}u, column, around)`).join(',\n        ')});
    }
  }
  ofLanes[lane] = mine;
  workgroupBarrier();
  for (var distance = ${threads / 2}u; distance >= ${across}u; distance /= 2u) {
    if (lane < distance) { mine = bothSums(mine, ofLanes[lane + distance]); ofLanes[lane] = mine; }
    workgroupBarrier();
  }
  if (thread.y > 0u || column >= P.columns) { return; }
  ${each(
    width,
    (k) => `if (${isWantedOf(k)}) {
    partials[block * P.channels + column * ${width}u + ${k}u] = Partial(${component('first', k)}, ${component('second', k)});
  }`,
  ).join('\n  ')}
}
`;
}

/** A workgroup has a block of a channel's elements, run after run, and each thread every so many of them. */
function overRuns({ width }: LayoutClass, { isWanted }: Summing): string {
  const fold = (pair: string) => {
    const [x, y, z, w] = each(4, (k) => `Pair(mine.${pair}.high[${k}], mine.${pair}.low[${k}])`);
    return width === 4 ? `both(both(${x}, ${y}), both(${z}, ${w}))` : `mine.${pair}`;
  };
  return `
var<workgroup> ofLanes: array<Partial, ${threads}>;
fn bothSums(a: Partial, b: Partial) -> Partial { return Partial(both(a.first, b.first), both(a.second, b.second)); }

@compute @workgroup_size(${threads}) fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroupId.y * workgroups.x + workgroupId.x;
  let channel = id / P.blocks;
  if (channel >= P.channels) { return; }
  let block = id % P.blocks;
  let end = min((block + 1u) * P.blockLength, (P.rows / P.channels) * P.columns);
  var element = block * P.blockLength + lane;
  var row = (element / P.columns) * P.channels + channel;
  var column = element % P.columns;
  var mine = Sums();
  if (${isWanted}) {
    let around = aroundOf(channel);
    while (element < end) {
      ${each(
        group,
        (k) => `let t${k} = termsOf(element < end, row, column, around);
      element += ${threads}u;
      row += P.laneRows * P.channels;
      column += P.laneColumns;
      if (column >= P.columns) { column -= P.columns; row += P.channels; }`,
      ).join('\n      ')}
      mine = sumOf(mine, ${each(group, (k) => `t${k}`).join(', ')});
    }
  }
  var folded = Partial(${fold('first')}, ${fold('second')});
  ofLanes[lane] = folded;
  workgroupBarrier();
  for (var distance = ${threads / 2}u; distance > 0u; distance /= 2u) {
    if (lane < distance) { folded = bothSums(folded, ofLanes[lane + distance]); ofLanes[lane] = folded; }
    workgroupBarrier();
  }
  if (lane == 0u && (${isWanted})) { partials[block * P.channels + channel] = folded; }
}
`;
}
