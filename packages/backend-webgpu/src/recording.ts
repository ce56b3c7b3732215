// Commands for the device, in the order in which it will execute them, and the memory that they need meanwhile.
import type { DeviceBuffer, Usage } from './device-buffer.js';
import type { Encoding, Encodings } from './encoding.js';
import type { Program } from './program.js';

/** Most workgroups along one dimension. */
const mostWorkgroups = 65535;

/** Whoever gives memory on a device. */
export interface Memory {
  readonly device: GPUDevice;
  /** Memory of `bytes` or more, which may hold anything. Errors: `LIMIT_EXCEEDED`. */
  take(bytes: number, usage?: Usage): DeviceBuffer;
}

export class Recording {
  readonly #memory: Memory;
  readonly #encoder: GPUCommandEncoder;
  #pass: GPUComputePassEncoder | undefined;
  /** What is released when the call has ended, and what only if it failed. */
  #scratch: DeviceBuffer[] = [];
  #results: DeviceBuffer[] = [];
  #usesForeign = false;
  readonly #encodings: Encodings;
  /** Whether the encoder is the caller's. */
  readonly #isShared: boolean;
  /** That of the caller's encoder; of another one, if it needs what an encoder of the caller computes. */
  #encoding: Encoding | undefined;

  constructor(memory: Memory, encodings: Encodings, encoder: GPUCommandEncoder, encoding?: Encoding) {
    this.#memory = memory;
    this.#encodings = encodings;
    this.#encoder = encoder;
    this.#encoding = encoding;
    this.#isShared = encoding !== undefined;
  }

  /** Whether it uses a buffer of the caller, who may have destroyed it. */
  get usesForeign(): boolean {
    return this.#usesForeign;
  }

  /** Memory for a result, whose reference is the caller's when the call succeeds. Errors: `LIMIT_EXCEEDED`. */
  result(bytes: number): DeviceBuffer {
    const buffer = this.#memory.take(bytes);
    this.#results.push(buffer);
    return buffer;
  }

  /** Another reference to `buffer`, which is the caller's when the call succeeds. */
  keep(buffer: DeviceBuffer): DeviceBuffer {
    this.#results.push(buffer.retain());
    return buffer;
  }

  /** A result that is needed until the call has ended, and no longer. */
  once(result: DeviceBuffer): DeviceBuffer {
    this.#results.splice(this.#results.indexOf(result), 1);
    return this.#held(result);
  }

  /** Memory until the call has ended. Errors: `LIMIT_EXCEEDED`. */
  scratch(bytes: number): DeviceBuffer {
    return this.#held(this.#memory.take(bytes));
  }

  /** A uniform buffer with these contents, until the call has ended. */
  uniform(contents: ArrayBuffer): DeviceBuffer {
    const buffer = this.#held(this.#memory.take(contents.byteLength, 'uniform'));
    this.#memory.device.queue.writeBuffer(buffer.buffer, 0, contents);
    return buffer;
  }

  /** Writes `values` into `buffer`, before anything that is recorded is executed. */
  write(buffer: DeviceBuffer, values: ArrayBufferView): DeviceBuffer {
    const { queue } = this.#memory.device;
    const { buffer: bytes, byteOffset, byteLength } = unshared(values);
    const whole = byteLength - (byteLength % 4);
    if (whole > 0) queue.writeBuffer(buffer.buffer, buffer.offset, bytes, byteOffset, whole);
    if (whole < byteLength) {
      const rest = new Uint8Array(4);
      rest.set(new Uint8Array(bytes, byteOffset + whole, byteLength - whole));
      queue.writeBuffer(buffer.buffer, buffer.offset + whole, rest);
    }
    return buffer;
  }

  /**
   * Runs so many workgroups of `program`, each of whose buffers is named. Errors: those of what an encoder of the caller
   * will never have computed.
   */
  dispatch(
    { pipeline, layout, names, written }: Program,
    uniform: DeviceBuffer,
    buffers: Readonly<Record<string, DeviceBuffer>>,
    workgroups: number,
  ): void {
    for (const name of names) if (!written.has(name)) this.needs(buffers[name]!);
    const resource = (used: DeviceBuffer) => {
      this.#use(used);
      return { buffer: used.buffer, offset: used.offset, size: Math.ceil(used.bytes / 4) * 4 };
    };
    const entries = [
      { binding: 0, resource: resource(uniform) },
      ...names.map((name, index) => ({ binding: index + 1, resource: resource(buffers[name]!) })),
    ];
    for (const name of written) buffers[name]!.encoding = this.#encoding;
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, this.#memory.device.createBindGroup({ layout, entries }));
    const across = Math.min(workgroups, mostWorkgroups);
    this.#pass.dispatchWorkgroups(across, Math.ceil(workgroups / across));
  }

  /**
   * What `buffer` holds is read: if an encoder of the caller is to compute it, results will be good only if that was
   * executed before. Errors: those of what will never have been computed.
   */
  needs({ encoding: needed }: DeviceBuffer): void {
    if (!needed || needed === this.#encoding) return;
    needed.assertUsable();
    if (!needed.isPending || this.#encoding?.needed.has(needed)) return;
    this.#endPass();
    this.#encoding ??= this.#encodings.begin();
    this.#encodings.follow(this.#encoding, needed, this.#encoder);
  }

  copy(from: DeviceBuffer, to: DeviceBuffer): void {
    this.needs(from);
    this.#copy(from, to);
    to.encoding = this.#encoding;
  }

  /** A copy for `Gpu.fetch`, of what `source` holds then, whoever was to write it. */
  copyToHost(source: DeviceBuffer): DeviceBuffer {
    const staging = this.#memory.take(source.bytes, 'staging');
    this.#results.push(staging);
    this.#copy(source, staging);
    return staging;
  }

  finish(): GPUCommandBuffer {
    this.#endPass();
    if (this.#encoding) {
      this.#encodings.leaveNumber(this.#encoding, this.#encoder);
      this.#encoding.end();
    }
    return this.#encoder.finish();
  }

  /** The caller may go on with the encoder, in passes of his own. */
  leave(): void {
    this.#endPass();
  }

  /** The call has ended. */
  end(succeeded: boolean): void {
    for (const buffer of this.#scratch) buffer.release();
    if (!succeeded) {
      for (const buffer of this.#results) buffer.release();
      if (this.#encoding && !this.#isShared) this.#encodings.fail(this.#encoding);
    }
    [this.#scratch, this.#results] = [[], []];
  }

  #copy(from: DeviceBuffer, to: DeviceBuffer): void {
    this.#endPass();
    for (const used of [from, to]) this.#use(used);
    const bytes = Math.ceil(from.bytes / 4) * 4;
    this.#encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
  }

  #use({ buffer, isForeign }: DeviceBuffer): void {
    if (isForeign) this.#usesForeign = true;
    if (this.#isShared) this.#encoding!.buffers.add(buffer);
  }

  #held(buffer: DeviceBuffer): DeviceBuffer {
    this.#scratch.push(buffer);
    return buffer;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}

/** A copy of what is in shared memory, which the queue of Deno refuses; that of Dawn in Node ends the process. */
function unshared(values: ArrayBufferView): ArrayBufferView<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = values;
  // By its tag: the array may be of another realm.
  if (Object.prototype.toString.call(buffer) !== '[object SharedArrayBuffer]') {
    return values as ArrayBufferView<ArrayBuffer>;
  }
  return new Uint8Array(buffer, byteOffset, byteLength).slice();
}
