// The stages on host arrays: activations go to the device, the device's own stages compute, and results come back, once
// per operation. The host sees them: where float32 could not hold what they are made of, the call is refused, and has
// written nothing.
import {
  arrayOf,
  assertFiniteMoments,
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  type CountedPositions,
  type DeviceMemory,
  type FloatArray,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type GradientBuffers,
  type GradientSums,
  type GradientSumsInput,
  type HostMemory,
  type InputGradientInput,
  type MaybePromise,
  type Moments,
  type MomentsInput,
  type NormalizeInput,
  type Saved,
  type Stages,
  statisticsOf,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { type Normalizer, normalizerOf } from '@batchnorm/core-api/float32-range';
import type { WebGpuMoments, WebGpuVector } from './channel-values.js';
import type { DeviceBuffer } from './device-buffer.js';
import type { DeviceStages } from './device-stages.js';
import { WebGpuTensor } from './device-tensor.js';
import type { Gpu } from './gpu.js';
import { assertMomentsHeld, assertNormalizerHeld } from './held.js';
import type { Passes } from './passes.js';
import { exponentsFor, type HostGradients, scaledElements, scaledSums, unscaled } from './scaled-gradients.js';
import { gradientSumsOf } from './tables.js';

type Device = DeviceMemory;
type Host = HostMemory;

/** The device's saved forward, and by what it normalised how many values. */
class HostSaved implements Saved {
  readonly onDevice: Saved;
  readonly by: Normalizer;
  readonly count: number;

  constructor(onDevice: Saved, by: Normalizer, count: number) {
    this.onDevice = onDevice;
    this.by = by;
    this.count = count;
  }

  dispose(): void {
    this.onDevice.dispose();
  }
}

/** What a call holds on the device, and lets go when it ends. */
type Held = { dispose(): void }[];

export class HostStages implements Stages<Host> {
  readonly fused: NonNullable<Stages<Host>['fused']>;
  readonly #backend: Backend;
  readonly #gpu: Gpu;
  readonly #passes: Passes;
  readonly #device: DeviceStages;

  constructor(backend: Backend, gpu: Gpu, passes: Passes, device: DeviceStages) {
    this.#backend = backend;
    this.#gpu = gpu;
    this.#passes = passes;
    this.#device = device;
    this.fused = {
      forwardTraining: (input) => this.#forwardTraining(input),
      backwardTraining: (input) => this.#backward(input, this.#device.fused.backwardTraining!),
      backwardInference: (input) => this.#backward(input, this.#device.fused.backwardInference!),
    };
  }

  moments({ x, epsilon, mask }: MomentsInput<Host>): Promise<Moments> {
    return holding(async (held) => {
      const own = await this.#bring(held, x);
      const onDevice = await this.#device.moments({ x: own, epsilon, mask });
      held.push(onDevice);
      const [table] = await this.#gpu.read(onDevice.table);
      return this.#momentsOf(onDevice, table!, x, epsilon, mask);
    });
  }

  normalize(input: NormalizeInput<Host>): Promise<ForwardOutput<Host>> {
    const { by, mask } = input;
    const normalizer = normalizerOf(by.batch ? statisticsOf(by.batch) : by.given, input);
    const copied = { mean: normalizer.mean.slice(), gamma: input.gamma.slice(), beta: input.beta.slice() };
    const own: Normalizer = { invStd: normalizer.invStd, ...copied };
    assertNormalizerHeld(own);
    const count = by.batch?.count ?? valuesPerChannel(this.#passes.extent);
    return holding(async (held) => {
      const forward = await this.#bringForward(held, input);
      const { y, saved } = await this.#device.normalizeBy(forward, own, mask, count);
      held.push(y);
      const elements = await this.#readFor(saved, (y as WebGpuTensor).memory);
      return {
        y: filled(this.#elementsOf(elements[0]!), input.y),
        saved: new HostSaved(saved, own, count),
      };
    });
  }

  async gradientSums({ saved, dy }: GradientSumsInput<Host>): Promise<GradientSums> {
    const forward = saved as HostSaved;
    const { sums } = await this.#withScaled(forward, dy, undefined, (dy) =>
      holding(async (held) => {
        const own = await this.#bring(held, dy);
        const onDevice = await this.#device.gradientSums({ saved: forward.onDevice, dy: own });
        held.push(onDevice);
        const [table] = await this.#gpu.read(onDevice.table);
        return { sums: gradientSumsOf(new Float32Array(table!)), dx: undefined, dresidual: undefined };
      }),
    );
    return sums!;
  }

  async inputGradient({ sums, total, ...input }: InputGradientInput<Host>): Promise<BackwardOutput<Host>> {
    const own = sums && copyOf(sums);
    const seen = await this.#gradients(input, total && copyOf(total), (onDevice, total) =>
      this.#device.inputGradient({ ...onDevice, sums: undefined, total }),
    );
    return this.#output(input, { ...seen, sums: own });
  }

  #forwardTraining(input: ForwardTrainingInput<Host>): Promise<ForwardTrainingOutput<Host>> {
    const { x, mask, epsilon, requireFinite } = input;
    const parameters = { gamma: input.gamma.slice(), beta: input.beta.slice(), epsilon };
    return holding(async (held) => {
      const forward = { ...(await this.#bringForward(held, input)), ...parameters, mask, requireFinite };
      const output = await this.#device.fused.forwardTraining!(forward);
      const [y, onDevice] = [output.y as WebGpuTensor, output.moments as WebGpuMoments];
      held.push(y, onDevice);
      const [table, elements] = await this.#readFor(output.saved, onDevice.table, y.memory);
      try {
        const moments = this.#momentsOf(onDevice, table!, x, epsilon, mask, requireFinite);
        const by = normalizerOf(statisticsOf(moments), parameters);
        assertNormalizerHeld(by);
        const saved = new HostSaved(output.saved, by, moments.count);
        return { y: filled(this.#elementsOf(elements!), input.y), saved, moments };
      } catch (error) {
        output.saved.dispose();
        throw error;
      }
    });
  }

  async #backward(
    { parameterGradients, ...input }: BackwardInput<Host>,
    operation: NonNullable<Stages<Device>['fused']>['backwardTraining'],
  ): Promise<BackwardOutput<Host>> {
    const isThrough = operation === this.#device.fused.backwardTraining;
    const areFound = isThrough || parameterGradients;
    const seen = await this.#gradients(input, areFound ? undefined : null, (onDevice) =>
      operation!({ ...onDevice, parameterGradients: areFound }),
    );
    return this.#output(input, seen);
  }

  /** `total`: what dx is made of, where that is not what is found on the way; null: of nothing but dy. */
  #gradients(
    { saved, dy }: GradientSumsInput<Host>,
    total: GradientSums | null | undefined,
    call: (
      onDevice: GradientSumsInput<Device> & GradientBuffers<Device>,
      total: GradientSums | null,
    ) => MaybePromise<BackwardOutput<Device>>,
  ): Promise<HostGradients> {
    const forward = saved as HostSaved;
    return this.#withScaled(forward, dy, total, (dy, total) =>
      holding(async (held) => {
        const own = await this.#bring(held, dy);
        const buffers = { dx: own, dresidual: undefined, dgamma: undefined, dbeta: undefined };
        const output = await call({ saved: forward.onDevice, dy: own, ...buffers }, total ?? null);
        held.push(output.dgamma, output.dbeta);
        if (output.dresidual) held.push(output.dresidual);
        const results = [output.dx, output.dresidual].filter((tensor) => tensor !== undefined) as WebGpuTensor[];
        const { table } = output.dgamma as WebGpuVector;
        const [found, dx, dresidual] = await this.#gpu.read(table, ...results.map(({ memory }) => memory));
        return {
          sums: total === undefined ? gradientSumsOf(new Float32Array(found!)) : undefined,
          dx: this.#elementsOf(dx!),
          dresidual: dresidual && this.#elementsOf(dresidual),
        };
      }),
    );
  }

  /** What `compute` gives, which gets a scaled dy in the channels whose gradients float32 could not hold. */
  async #withScaled(
    { by, count }: HostSaved,
    dy: FloatArray,
    total: GradientSums | null | undefined,
    compute: (dy: FloatArray, total: GradientSums | null | undefined) => Promise<HostGradients>,
  ): Promise<HostGradients> {
    const { extent, dtype } = this.#passes;
    // Products of float16 numbers are well within float32.
    if (dtype === 'float16') return compute(dy, total);
    const exponents = exponentsFor(extent, by, count, dy, total ?? undefined);
    const gradients = await compute(scaledElements(extent, dy, exponents), total && scaledSums(total, exponents));
    return unscaled(gradients, extent, exponents);
  }

  #output({ dx, dresidual, dgamma, dbeta }: GradientBuffers<Host>, seen: HostGradients): BackwardOutput<Host> {
    const { channels } = this.#passes.extent;
    return {
      dx: filled(seen.dx!, dx),
      ...(seen.dresidual && { dresidual: filled(seen.dresidual, dresidual) }),
      dgamma: filled(seen.sums?.dgamma ?? new Float64Array(channels), dgamma),
      dbeta: filled(seen.sums?.dbeta ?? new Float64Array(channels), dbeta),
    };
  }

  #momentsOf(
    onDevice: WebGpuMoments,
    table: ArrayBuffer,
    x: FloatArray,
    epsilon: number,
    mask: CountedPositions | undefined,
    requireFinite = false,
  ): Moments {
    const moments = onDevice.momentsOf(table);
    if (requireFinite) assertFiniteMoments(moments);
    onDevice.assertNormalizable(moments);
    assertMomentsHeld(this.#passes.extent, x, mask, moments, epsilon);
    return moments;
  }

  #elementsOf(bytes: ArrayBuffer): FloatArray {
    return new arrayOf[this.#passes.dtype](bytes);
  }

  /** The elements, on the device. They are read before this returns. */
  async #bring(held: Held, elements: FloatArray): Promise<WebGpuTensor> {
    const memory = await this.#gpu.put(elements);
    const tensor = new WebGpuTensor(this.#backend, this.#gpu, memory, [elements.length], this.#passes.dtype);
    held.push(tensor);
    return tensor;
  }

  async #bringForward(
    held: Held,
    { x, residual, gamma, beta, epsilon }: ForwardInput<Host>,
  ): Promise<ForwardInput<Device>> {
    const bringing = [this.#bring(held, x), residual && this.#bring(held, residual)] as const;
    const parameters = { gamma: gamma.slice(), beta: beta.slice(), epsilon };
    await Promise.allSettled(bringing);
    const [own, ownResidual] = await Promise.all(bringing);
    return { x: own, residual: ownResidual, ...parameters, y: undefined };
  }

  /** What a forward computed; if that can't be read, the forward is let go. */
  async #readFor(saved: Saved, ...sources: readonly DeviceBuffer[]): Promise<ArrayBuffer[]> {
    try {
      return await this.#gpu.read(...sources);
    } catch (error) {
      saved.dispose();
      throw error;
    }
  }
}

async function holding<T>(call: (held: Held) => Promise<T>): Promise<T> {
  const held: Held = [];
  try {
    return await call(held);
  } finally {
    for (const one of held) one.dispose();
  }
}

function copyOf({ dgamma, dbeta }: GradientSums): GradientSums {
  return { dgamma: dgamma.slice(), dbeta: dbeta.slice() };
}

/** `values`, in the caller's buffer if there is one. */
function filled<T extends FloatArray>(values: T, into: T | undefined): T {
  if (into === undefined) return values;
  into.set(values);
  return into;
}
