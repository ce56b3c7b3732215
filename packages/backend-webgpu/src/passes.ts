// The passes over an activation for one extent: shaders, one after another, into a recording.
import type { CountedPositions, Dtype, Extent, GradientSums, Nonlinearity, Plan } from '@batchnorm/core-api';
import { float32Epsilon, type Normalizer, type Parameters } from '@batchnorm/core-api/float32-range';
import type { DeviceBuffer } from './device-buffer.js';
import type { Gpu } from './gpu.js';
import type { Program } from './program.js';
import type { Recording } from './recording.js';
import type { Kept } from './saved-forward.js';
import {
  coefficientsOfBatch,
  type Merging,
  mergedGradients,
  mergedMoments,
  mergingThreads,
  pivots,
} from './shaders/channels.js';
import { gateWords } from './shaders/elements.js';
import { inputGradient, normalize } from './shaders/elementwise.js';
import { decode, encode } from './shaders/float16.js';
import { group, type Layout, layoutOf, threads } from './shaders/layout.js';
import { parametersOf } from './shaders/parameters.js';
import type { Shader } from './shaders/shader.js';
import { gradientSums, momentSums } from './shaders/sums.js';
import { coefficientFields, gradientFields, momentFields, partialFields } from './shaders/tables.js';
import { tableOfGradientSums, tableOfNormalizer } from './tables.js';

const wordBytes = 4;

/** With more blocks, threads share those of a channel in the second stage of a sum. */
const fewBlocks = 8;

export class Passes {
  readonly extent: Extent;
  readonly activation: Nonlinearity;
  readonly dtype: Dtype;
  readonly #gpu: Gpu;
  readonly #layout: Layout;

  constructor(gpu: Gpu, { extent, dtype, activation = 'none' }: Plan) {
    this.extent = extent;
    this.activation = activation;
    this.#gpu = gpu;
    this.dtype = dtype;
    this.#layout = layoutOf(extent);
  }

  /** How many bytes an activation has, as it is stored. */
  get storedBytes(): number {
    return this.bytes / (this.dtype === 'float16' ? 2 : 1);
  }

  /** How many bytes it has in float32, as it is computed with. */
  get bytes(): number {
    return this.extent.outer * this.extent.channels * this.extent.inner * wordBytes;
  }

  /** An activation that is stored as float16, in float32. */
  decoded(r: Recording, uniform: DeviceBuffer, halves: DeviceBuffer): DeviceBuffer {
    const numbers = r.scratch(this.bytes);
    r.dispatch(this.#gpu.program('decode', decode), uniform, { halves, numbers }, this.#wordWorkgroups);
    return numbers;
  }

  /** Stores an activation as float16. */
  encode(r: Recording, uniform: DeviceBuffer, numbers: DeviceBuffer, halves: DeviceBuffer): void {
    r.dispatch(this.#gpu.program('encode', encode), uniform, { numbers, halves }, this.#wordWorkgroups);
  }

  /** What all shaders of a call get. */
  parameters(
    r: Recording,
    { epsilon, count, mask }: { epsilon: number; count: number; mask?: CountedPositions | undefined },
  ): DeviceBuffer {
    return r.uniform(parametersOf({ layout: this.#layout, epsilon: float32Epsilon(epsilon), count, mask }));
  }

  /** A byte for each position. */
  mask(r: Recording, { positions }: CountedPositions): DeviceBuffer {
    return r.write(r.result(positions.byteLength), positions);
  }

  /** The table of moments of the values that count, around pivots that are close to their means. */
  moments(r: Recording, uniform: DeviceBuffer, x: DeviceBuffer, mask: DeviceBuffer | undefined): DeviceBuffer {
    const moments = this.#table(r, momentFields);
    const partials = this.#partials(r);
    const sums = this.#program('momentSums', mask ? 'masked' : '', () => momentSums(this.#layout, mask !== undefined));
    r.dispatch(this.#gpu.program('pivots', pivots), uniform, { x, moments }, this.#perChannel);
    for (const _round of [1, 2]) {
      r.dispatch(sums, uniform, { x, moments, partials, ...(mask && { mask }) }, this.#sumWorkgroups);
      r.dispatch(
        this.#gpu.program(`mergedMoments ${this.#merging}`, () => mergedMoments(this.#merging)),
        uniform,
        { partials, moments },
        this.#mergeWorkgroups,
      );
    }
    return moments;
  }

  /** The table by which a batch of these `moments` is normalised. */
  coefficientsOfBatch(
    r: Recording,
    uniform: DeviceBuffer,
    moments: DeviceBuffer,
    { gamma, beta }: Parameters,
  ): DeviceBuffer {
    const coefficients = this.#table(r, coefficientFields);
    const C = this.extent.channels;
    const values = new Float32Array(2 * C);
    values.set(gamma);
    values.set(beta, C);
    const vectors = r.write(r.scratch(values.byteLength), values);
    const program = this.#gpu.program('coefficientsOfBatch', coefficientsOfBatch);
    r.dispatch(program, uniform, { moments, vectors, coefficients }, this.#perChannel);
    return coefficients;
  }

  /** The table that the host makes. */
  coefficientsOf(r: Recording, by: Normalizer): DeviceBuffer {
    return r.write(this.#table(r, coefficientFields), tableOfNormalizer(by));
  }

  /** Writes y, and gives what ReLU let pass. y may be x. */
  normalize(
    r: Recording,
    uniform: DeviceBuffer,
    {
      x,
      residual,
      coefficients,
      y,
    }: { x: DeviceBuffer; residual: DeviceBuffer | undefined; coefficients: DeviceBuffer; y: DeviceBuffer },
  ): DeviceBuffer | undefined {
    const options = {
      relu: this.activation === 'relu',
      residual: residual !== undefined,
      inPlace: isSame(x, y),
      float16: this.dtype === 'float16',
    };
    const gate = options.relu ? r.result(gateWords(this.#layout) * wordBytes) : undefined;
    const program = this.#program('normalize', namesOf(options), () => normalize(this.#layout, options));
    r.needs(x);
    const buffers = { coefficients, x, y, ...(residual && { residual }), ...(gate && { gate }) };
    r.dispatch(program, uniform, buffers, this.#elementWorkgroups);
    return gate;
  }

  /** The table of Σ g and Σ g · xHat. */
  gradients(r: Recording, uniform: DeviceBuffer, { x, coefficients, gate }: Kept, dy: DeviceBuffer): DeviceBuffer {
    const gradients = this.#table(r, gradientFields);
    const partials = this.#partials(r);
    const sums = this.#program('gradientSums', gate ? 'relu' : '', () =>
      gradientSums(this.#layout, gate !== undefined),
    );
    r.dispatch(sums, uniform, { x, dy, coefficients, partials, ...(gate && { gate }) }, this.#sumWorkgroups);
    const merge = this.#gpu.program(`mergedGradients ${this.#merging}`, () => mergedGradients(this.#merging));
    r.dispatch(merge, uniform, { partials, coefficients, gradients }, this.#mergeWorkgroups);
    return gradients;
  }

  /** A table for gradients that nobody reads. */
  anyGradients(r: Recording): DeviceBuffer {
    return this.#table(r, gradientFields);
  }

  /** The table of sums that the host has. */
  gradientsOf(r: Recording, sums: GradientSums): DeviceBuffer {
    const table = tableOfGradientSums(sums);
    return r.write(r.scratch(table.byteLength), table);
  }

  /** Writes dx, and dresidual where that is given. Without `gradients` statistics are constants. dx may be dy. */
  inputGradient(
    r: Recording,
    uniform: DeviceBuffer,
    { x, coefficients, gate, mask }: Kept,
    {
      dy,
      gradients,
      dx,
      dresidual,
    }: { dy: DeviceBuffer; gradients: DeviceBuffer | undefined; dx: DeviceBuffer; dresidual: DeviceBuffer | undefined },
  ): void {
    const options = {
      relu: gate !== undefined,
      residual: dresidual !== undefined,
      throughStatistics: gradients !== undefined,
      masked: mask !== undefined,
      inPlace: isSame(dy, dx),
    };
    const program = this.#program('inputGradient', namesOf(options), () => inputGradient(this.#layout, options));
    r.needs(dy);
    const buffers = { x, coefficients, gate, mask, dy, gradients, dx, dresidual };
    r.dispatch(program, uniform, buffers as Record<string, DeviceBuffer>, this.#elementWorkgroups);
  }

  #program(name: string, variant: string, make: () => Shader): Program {
    const { arrangement, width, lanes, sharing } = this.#layout;
    return this.#gpu.program(`${name} ${variant} of ${arrangement}, ${width} × ${lanes}, ${sharing}`, make);
  }

  #table(r: Recording, fields: number): DeviceBuffer {
    return r.result(this.extent.channels * fields * wordBytes);
  }

  #partials(r: Recording): DeviceBuffer {
    return r.scratch(this.#layout.blocks * this.extent.channels * partialFields * wordBytes);
  }

  get #perChannel(): number {
    return Math.ceil(this.extent.channels / threads);
  }

  get #wordWorkgroups(): number {
    return Math.ceil(this.bytes / (2 * wordBytes * threads));
  }

  get #merging(): Merging {
    if (this.#layout.blocks <= fewBlocks) return 'thread';
    return this.#gpu.hasSubgroups ? 'subgroup' : 'workgroup';
  }

  get #mergeWorkgroups(): number {
    return Math.ceil((this.extent.channels * mergingThreads[this.#merging]) / threads);
  }

  get #sumWorkgroups(): number {
    const { arrangement, columns, channels, blocks, lanes, sharing } = this.#layout;
    return arrangement === 'rows'
      ? Math.ceil(columns / lanes) * Math.ceil(blocks / (threads / lanes))
      : Math.ceil((channels * (blocks / sharing)) / (threads / sharing));
  }

  get #elementWorkgroups(): number {
    const { rows, columns, lanes } = this.#layout;
    return Math.ceil(columns / lanes) * Math.ceil(Math.ceil(rows / group) / (threads / lanes));
  }
}

/** Whether two are the same stretch of memory. */
function isSame(a: DeviceBuffer, b: DeviceBuffer): boolean {
  return a.buffer === b.buffer && a.offset === b.offset;
}

function namesOf(options: Readonly<Record<string, boolean>>): string {
  return Object.keys(options)
    .filter((name) => options[name])
    .join(' ');
}
