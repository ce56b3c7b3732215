// Where a case keeps its activations: the same code judges host arrays and device tensors.
import {
  AllocatedTensor,
  type Backend,
  type DeviceTensor,
  dtypeOf,
  type FloatArray,
  type OnDevice,
  type Tensor,
} from '@batchnorm/core-api';
import type { MemoryKind } from '../conformance-case.js';
import { damageOf, GuardedBuffer, spoil } from './guarded-buffer.js';

export type Activation = Tensor | DeviceTensor;
export type Vector = Float64Array | OnDevice<Float64Array>;

/** Puts values into one kind of memory, reads results back, and frees them all in the end. */
export interface ActivationMemory {
  readonly kind: MemoryKind;
  /** Whether activations are typed arrays. */
  readonly onHost: boolean;
  /** An activation of these elements, which stay the caller's. */
  put(values: FloatArray, shape: readonly number[]): Promise<Activation>;
  /**
   * Where a parameter's gradient may go: `length` numbers that are NaN. Undefined on the device, whose vectors a
   * backend makes.
   */
  vector(length: number): Float64Array | undefined;
  /** A copy of the elements of an activation or vector, whoever made it; it is freed with the others. */
  read<T extends FloatArray>(result: Activation | Vector): Promise<T>;
  /** Takes over a result, to dispose it with the others. */
  own(result: Activation | Vector): void;
  /** How many bytes beside the arrays that it handed out are not what they were. */
  readonly damage: number;
  dispose(): void;
}

export function activationMemory(kind: MemoryKind, backend: Backend): ActivationMemory {
  if (kind === 'device') return new DeviceActivations(backend);
  return kind === 'host' ? new HostActivations() : new AllocatedActivations(backend);
}

class HostActivations implements ActivationMemory {
  readonly kind: MemoryKind = 'host';
  readonly onHost = true;
  readonly #buffer = new GuardedBuffer();
  readonly #results = new Set<AllocatedTensor>();

  async put(values: FloatArray, shape: readonly number[]): Promise<Tensor> {
    return { data: this.#buffer.copyOf(values), shape };
  }

  vector(length: number): Float64Array {
    return this.#buffer.allocate('float64', length) as Float64Array;
  }

  async read<T extends FloatArray>(result: Activation | Vector): Promise<T> {
    return ('data' in result ? result.data : (result as Float64Array)).slice() as T;
  }

  own(result: Activation | Vector): void {
    if (result instanceof AllocatedTensor) this.#results.add(result);
  }

  get damage(): number {
    return this.#buffer.damage;
  }

  dispose(): void {
    for (const result of this.#results) result.dispose();
    this.#results.clear();
  }
}

/** Elements on either side of every other tensor, in one that is larger. */
const guardElements = 21;

/** Tensors that the backend allocated: every other one is a part of a larger one, whose other elements must stay NaN. */
class AllocatedActivations extends HostActivations {
  override readonly kind = 'allocated';
  readonly #backend: Backend;
  readonly #guards: FloatArray[] = [];
  #count = 0;

  constructor(backend: Backend) {
    super();
    this.#backend = backend;
  }

  override async put(values: FloatArray, shape: readonly number[]): Promise<Tensor> {
    const mostOfPart = this.#backend.capabilities.limits.elements - 2 * guardElements;
    const isPart = this.#count++ % 2 === 1 && values.length <= mostOfPart;
    const margin = isPart ? guardElements : 0;
    const length = values.length + 2 * margin;
    const tensor = this.#backend.empty(isPart ? [length] : shape, dtypeOf(values));
    this.own(tensor);
    const { data } = tensor;
    spoil(data);
    data.set(values, margin);
    if (!isPart) return tensor;
    const end = margin + values.length;
    this.#guards.push(data.subarray(0, margin), data.subarray(end));
    return { data: data.subarray(margin, end), shape };
  }

  override get damage(): number {
    return super.damage + this.#guards.reduce((bytes, guard) => bytes + damageOf(guard), 0);
  }
}

class DeviceActivations implements ActivationMemory {
  readonly kind = 'device';
  readonly onHost = false;
  readonly #backend: Backend;
  readonly #buffer = new GuardedBuffer();
  readonly #held = new Set<OnDevice<unknown>>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async put(values: FloatArray, shape: readonly number[]): Promise<DeviceTensor> {
    const source = { data: this.#buffer.copyOf(values), shape: [...shape] };
    const uploading = this.#backend.upload(source);
    // An upload copies at once: it must not see what becomes of its source.
    spoil(source.data);
    source.shape.fill(0);
    const tensor = await uploading;
    this.#held.add(tensor);
    return tensor;
  }

  vector(): undefined {
    return undefined;
  }

  async read<T extends FloatArray>(result: Activation | Vector): Promise<T> {
    const there = result as OnDevice<FloatArray>;
    this.own(result);
    const elements = await there.read();
    const copy = elements.slice();
    // What was read is a copy, too: the tensor must not see this.
    spoil(elements);
    return copy as T;
  }

  get damage(): number {
    return this.#buffer.damage;
  }

  own(result: Activation | Vector): void {
    this.#held.add(result as OnDevice<unknown>);
  }

  dispose(): void {
    for (const one of this.#held) one.dispose();
    this.#held.clear();
  }
}
