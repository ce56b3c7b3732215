// What every shader knows of a call, in one uniform buffer: the extent as shaders see it, and numbers that no compiler
// may know.
import type { CountedPositions } from '@batchnorm/core-api';
import type { Layout } from './layout.js';

/** How many values of a channel its first pivot is the mean of. */
export const samples = 20;

/** Fields of four bytes each, in the order of the buffer. */
export const parametersText: string = `
struct Parameters {
  channels: u32,
  rows: u32,
  columns: u32,
  blocks: u32,
  blockLength: u32,
  laneRows: u32,
  laneColumns: u32,
  zero: u32,
  nan: u32,
  epsilon: f32,
  overCount: f32,
  inner: u32,
  width: u32,
  samples: array<vec4u, ${samples / 4}>,
}
@group(0) @binding(0) var<uniform> P: Parameters;
`;

const bytesBeforeSamples = 64;

export interface CallParameters {
  readonly layout: Layout;
  /** As float32 has it; 0 where that would be subnormal. */
  readonly epsilon: number;
  /** How many values of a channel are normalised together. */
  readonly count: number;
  readonly mask?: CountedPositions | undefined;
}

/** The contents of the buffer. */
export function parametersOf({ layout, epsilon, count, mask }: CallParameters): ArrayBuffer {
  const bytes = new ArrayBuffer(bytesBeforeSamples + samples * 4);
  const { channels, rows, columns, blocks, blockLength, laneRows, laneColumns } = layout;
  const quietNaN = 0x7fc00000;
  new Uint32Array(bytes).set([channels, rows, columns, blocks, blockLength, laneRows, laneColumns, 0, quietNaN]);
  new Float32Array(bytes, 36, 2).set([epsilon, 1 / count]);
  new Uint32Array(bytes, 44, 2).set([layout.extent.inner, layout.width]);
  new Uint32Array(bytes, bytesBeforeSamples).set(sampledElements(layout, mask));
  return bytes;
}

/** The elements of channel 0 at positions that are evenly spread, of those that count. */
function sampledElements({ extent }: Layout, mask: CountedPositions | undefined): number[] {
  const { outer, channels, inner } = extent;
  const position = mask ? countedPosition(mask) : (n: number) => n;
  const count = mask?.count ?? outer * inner;
  return Array.from({ length: samples }, (_, k) => {
    const p = position(Math.floor(((k + 1) * count) / (samples + 1)));
    const i = p % inner;
    return (p - i) * channels + i;
  });
}

/** The position of the n-th value that counts, for n that do not fall. */
function countedPosition({ positions }: CountedPositions): (n: number) => number {
  let [at, counted] = [positions.indexOf(1), 0];
  return (n) => {
    while (counted < n) if (positions[++at] === 1) counted++;
    return at;
  };
}
