// A WebGPU device: work that is submitted to it or recorded for the caller, its compiled shaders, and what became of it.
import { BatchNormError, describe, refuse } from '@batchnorm/core-api';
import { DeviceBuffer } from './device-buffer.js';
import { type Encoding, Encodings } from './encoding.js';
import { MemoryPool } from './memory-pool.js';
import { compile, type Program } from './program.js';
import { Recording } from './recording.js';
import type { Shader } from './shaders/shader.js';

/** What the device, or the engine before it, says of what it does not accept. */
type Objection = Pick<Error, 'message'>;

/** An encoder of the caller, what it is to leave, and what the device says of calls that did not wait for that. */
interface Shared {
  readonly encoder: GPUCommandEncoder;
  readonly encoding: Encoding;
  readonly verdicts: Promise<Objection | null>[];
}

export class Gpu {
  readonly device: GPUDevice;
  readonly #memory: MemoryPool;
  readonly #ownsDevice: boolean;
  readonly #programs = new Map<string, Program>();
  /** Where calls are recorded while the caller has an encoder of his own. */
  #shared: Shared | undefined;
  #isRecording = false;
  /** Those that the caller has recorded into. */
  readonly #encoders = new WeakMap<GPUCommandEncoder, Encoding>();
  readonly #encodings: Encodings;
  /** Ends when it is known which encodings had been executed when the latest `recordInto` began. */
  #learning: Promise<void> = Promise.resolve();
  /** Whether the device objects to a second end of a pass of its own, which tells them from those of another device. */
  #tellsItsPasses: Promise<boolean> | undefined;
  /** How many calls on device tensors are under way. */
  #callsUnderWay = 0;
  /** How many shaders were compiled. */
  #compiled = 0;
  #trouble: string | undefined;
  #destroyed = false;

  constructor(device: GPUDevice, ownsDevice: boolean) {
    this.device = device;
    this.#encodings = new Encodings(device);
    this.#memory = new MemoryPool(device, (buffer) => this.#encodings.userOf(buffer));
    this.#ownsDevice = ownsDevice;
    device.lost.then(({ reason, message }) => {
      this.#trouble ??= `a device that was lost (${message || reason})`;
    });
  }

  /** What tables, tensors and calls have taken. */
  get allocatedBytes(): number {
    return this.#memory.allocatedBytes;
  }

  /** Whether threads may read each other's numbers without waiting. */
  get hasSubgroups(): boolean {
    return this.device.features.has('subgroups');
  }

  /** How many bytes one activation may have. */
  get mostBytes(): number {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.device.limits;
    return Math.min(maxStorageBufferBindingSize, maxBufferSize);
  }

  /** Errors: `DISPOSED`, `DEVICE_LOST`. */
  assertUsable(): void {
    if (this.#destroyed) refuse('DISPOSED', "a call after dispose() of backend 'webgpu'", 'none');
    if (this.#trouble !== undefined) throw this.#lost();
  }

  /** The program of this name; `make` is called for its shader when it is asked for first. */
  program(name: string, make: () => Shader): Program {
    let program = this.#programs.get(name);
    if (!program) {
      program = compile(this.device, name, make());
      this.#programs.set(name, program);
      this.#compiled++;
    }
    return program;
  }

  /**
   * Records `work` before it returns, and submits it; what `work` returned then makes the result. Where the device had to
   * make something new, what it says of that is waited for. When anything fails, nothing has been written, and the results
   * that the recording made are freed.
   *
   * Errors: `LIMIT_EXCEEDED`, `INVALID_TENSOR`, `DEVICE_LOST`, `DISPOSED`, those of `work`, and `INVALID_OPTION` where the
   * caller has finished his encoder.
   */
  async run<T>(work: (recording: Recording) => () => T): Promise<T> {
    this.#callsUnderWay++;
    try {
      return await this.#run(this.#shared, work);
    } finally {
      this.#callsUnderWay--;
    }
  }

  /** The same, also within `recordInto`, in an encoder of its own: for what the host waits for. */
  runApart<T>(work: (recording: Recording) => () => T): Promise<T> {
    return this.#run(undefined, work);
  }

  async #run<T>(shared: Shared | undefined, work: (recording: Recording) => () => T): Promise<T> {
    this.assertUsable();
    const { device } = this;
    const before = this.#made;
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    const recording = new Recording(
      this.#memory,
      this.#encodings,
      shared?.encoder ?? device.createCommandEncoder(),
      shared?.encoding,
    );
    let result: (() => T) | undefined;
    let failed: { readonly error: unknown } | undefined;
    try {
      result = work(recording);
      if (shared) recording.leave();
      else {
        device.queue.submit([recording.finish()]);
        // Not earlier: an encoder that the caller submitted before this call may have needed it.
        this.#memory.trim();
      }
    } catch (error) {
      failed = { error };
    }
    const verdicts = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    if (failed) {
      recording.end(false);
      verdicts.catch(() => undefined);
      throw failed.error;
    }
    if (this.#made === before && !recording.usesForeign) {
      const verdict = verdicts.then(
        ([memory, validation]) => {
          // What is wrong with an encoder of the caller is no trouble of the device.
          if (memory || !shared) this.#note(memory ?? validation);
          return validation;
        },
        () => null,
      );
      shared?.verdicts.push(verdict);
      recording.end(true);
      return result!();
    }
    const [memory, validation] = await verdicts.catch(() => [null, null]);
    const error = memory ?? validation;
    if (error || this.#trouble !== undefined) {
      recording.end(false);
      this.#forgetIdle();
      if (this.#trouble !== undefined) throw this.#lost();
      if (memory) {
        throw new BatchNormError(
          'LIMIT_EXCEEDED',
          `received work for which the device has no memory, expected less: ${memory.message}`,
        );
      }
      if (shared) await this.#assertOpen(shared.encoder);
      refuseWork(error!);
    }
    recording.end(true);
    return result!();
  }

  /** What was made for work that the device refused may be no good. */
  #forgetIdle(): void {
    this.#memory.trim(0);
    this.#programs.clear();
  }

  /**
   * While `work` runs, calls on device tensors are recorded into `encoder` and not submitted, which the caller does. Calls
   * that were made before are waited for, as are those of `work` that it does not await.
   *
   * Errors: `INVALID_OPTION` for what is no encoder that can be recorded into, or none any more after `work`;
   * `UNSUPPORTED` within another such call, and for an encoder that had one; `INVALID_TENSOR`; those of `work`.
   */
  async recordInto<T>(encoder: GPUCommandEncoder, work: () => PromiseLike<T> | T): Promise<T> {
    this.assertUsable();
    if (this.#isRecording) refuse('UNSUPPORTED', 'encode() while another one runs', 'one after the other');
    if (this.#encoders.has(encoder)) {
      refuse('UNSUPPORTED', 'encode() again with the same encoder', 'one of all its steps');
    }
    this.#isRecording = true;
    try {
      await this.#calls();
      await this.#assertRecordable(encoder);
      // Memory that an encoder uses is free when that has been executed. So steps are two ahead of the device at most.
      await this.#learning;
      this.#learning = this.#learn();
      const encoding = this.#encodings.begin();
      this.#encoders.set(encoder, encoding);
      const shared = { encoder, encoding, verdicts: [] };
      this.#shared = shared;
      try {
        const result = await this.#untilNoCalls(work);
        await this.#leave(shared);
        encoding.end();
        return result;
      } catch (error) {
        this.#encodings.fail(encoding);
        throw error;
      }
    } finally {
      this.#isRecording = false;
    }
  }

  /** What `work` gives, when no call is recorded any more into the encoder of the caller. */
  async #untilNoCalls<T>(work: () => PromiseLike<T> | T): Promise<T> {
    try {
      return await work();
    } finally {
      await this.#calls();
      this.#shared = undefined;
    }
  }

  /** Records the end of an encoding. Errors: `INVALID_OPTION`, `INVALID_TENSOR` if the device did not accept all of it. */
  async #leave({ encoder, encoding, verdicts }: Shared): Promise<void> {
    const ended = await this.#objectionTo(() => this.#encodings.leaveNumber(encoding, encoder));
    const objection = (await Promise.all(verdicts)).find((one) => one !== null);
    if (ended) refuseEncoder(encoder, 'is open until encode() has returned', ended);
    if (!objection) return;
    this.#forgetIdle();
    refuseWork(objection);
  }

  /**
   * Nothing will have been computed of what was recorded into `encoder`, unless it has been executed: its memory is freed,
   * and the device refuses it.
   *
   * Errors: `INVALID_OPTION` where nothing was recorded into it; `UNSUPPORTED` while that goes on.
   */
  async abandon(encoder: GPUCommandEncoder): Promise<void> {
    this.assertUsable();
    const encoding = this.#encoders.get(encoder);
    if (!encoding) refuse('INVALID_OPTION', `encoder ${describe(encoder)}`, 'one that had an encode()');
    if (encoding.isOpen) refuse('UNSUPPORTED', 'abandon() of an encoder while its encode() runs', 'one after it');
    await this.#learn();
    this.assertUsable();
    this.#encodings.fail(encoding);
  }

  /** Learns which encodings have been executed by what was submitted before. */
  async #learn(): Promise<void> {
    if (this.#encodings.areKnown) return;
    const { left, seen } = this.#encodings;
    const marks = [left, seen].map((buffer) => new DeviceBuffer(buffer, buffer.size, 0, () => undefined));
    await this.read(...marks).then(
      ([left, seen]) => this.#encodings.learn(new Uint32Array(left!), new Uint32Array(seen!)),
      () => undefined, // The device is lost: whoever asks hears of it.
    );
  }

  /** Waits until no call on device tensors is under way, nor begins at once after another. */
  async #calls(): Promise<void> {
    do await new Promise((resolve) => setTimeout(resolve));
    while (this.#callsUnderWay > 0);
  }

  /** Errors: `INVALID_OPTION` for an encoder that is finished. */
  async #assertOpen(encoder: GPUCommandEncoder): Promise<void> {
    const objection = await this.#objectionTo(() => {
      encoder.pushDebugGroup('batchnorm');
      encoder.popDebugGroup();
    });
    if (objection) refuseEncoder(encoder, 'is open', objection);
  }

  /** Errors: `INVALID_OPTION` for what is no encoder, or one that is finished or of another device. */
  async #assertRecordable(encoder: GPUCommandEncoder): Promise<void> {
    this.#tellsItsPasses ??= this.#tryPass(this.device.createCommandEncoder()).then(
      ({ isOwn }) => isOwn,
      () => false,
    );
    const { objection, isOwn } = await this.#tryPass(encoder);
    if (objection) refuseEncoder(encoder, 'is open', objection);
    if (isOwn || !(await this.#tellsItsPasses)) return;
    // A lost device says nothing.
    this.assertUsable();
    refuse('INVALID_OPTION', 'an encoder of another device', "one of the backend's device");
  }

  /**
   * What the device has against a pass, and whether it says at once that a second end is wrong, which leaves the encoder
   * as it is: of an encoder of another device it says nothing.
   */
  async #tryPass(encoder: GPUCommandEncoder): Promise<{ objection: Objection | undefined; isOwn: boolean }> {
    let pass: GPUComputePassEncoder | undefined;
    const [objection, objectionToSecondEnd] = await Promise.all([
      this.#objectionTo(() => {
        pass = encoder.beginComputePass();
        pass.end();
      }),
      this.#objectionTo(() => pass?.end()),
    ]);
    return { objection, isOwn: objectionToSecondEnd !== undefined };
  }

  async #objectionTo(work: () => void): Promise<Objection | undefined> {
    this.device.pushErrorScope('validation');
    let thrown: unknown;
    try {
      work();
    } catch (error) {
      thrown = error;
    }
    return (await this.device.popErrorScope()) ?? (thrown as Error | undefined);
  }

  /** Errors: `INVALID_TENSOR` unless the device can use this buffer; `DEVICE_LOST`, `DISPOSED`. */
  async assertAlive(foreign: DeviceBuffer): Promise<void> {
    await this.runApart((recording) => {
      try {
        recording.copy(new DeviceBuffer(foreign.buffer, 4, foreign.offset), recording.scratch(4));
      } catch (cause) {
        refuse('INVALID_TENSOR', 'what looks like a buffer', 'a GPUBuffer', { cause });
      }
      return () => undefined;
    });
  }

  /** A copy of `elements`, which are read before this returns. Errors: `LIMIT_EXCEEDED`, `DEVICE_LOST`, `DISPOSED`. */
  put(elements: ArrayBufferView): Promise<DeviceBuffer> {
    return this.runApart((recording) => {
      const memory = recording.write(recording.result(elements.byteLength), elements);
      return () => memory;
    });
  }

  /**
   * Copies to the host what each of `sources` holds, after all that was submitted. Errors: `DEVICE_LOST`, `DISPOSED`;
   * `UNSUPPORTED` for what is computed by commands that the caller has not submitted.
   */
  async read(...sources: readonly DeviceBuffer[]): Promise<ArrayBuffer[]> {
    const encodings = sources.flatMap(({ encoding }) => encoding ?? []);
    for (const encoding of encodings) encoding.assertEnded();
    // First, so that what is found to have been executed was so before it is read.
    const learning = encodings.some(({ isPending }) => isPending) ? this.#learn() : undefined;
    const reading = await this.runApart((recording) => {
      const staged = sources.map((source) => recording.copyToHost(source));
      return () => staged;
    });
    const contents = await this.#fetch(reading);
    await learning;
    for (const encoding of encodings) encoding.assertExecuted();
    return contents;
  }

  /** The contents of buffers that `Recording.copyToHost` gave, which are released. Errors: `DEVICE_LOST`. */
  async #fetch(staged: readonly DeviceBuffer[]): Promise<ArrayBuffer[]> {
    try {
      await Promise.all(staged.map(({ buffer }) => buffer.mapAsync(1)));
      return staged.map(({ buffer, bytes }) => {
        const copy = buffer.getMappedRange(0, Math.ceil(bytes / 8) * 8).slice(0, bytes);
        buffer.unmap();
        return copy;
      });
    } catch (cause) {
      this.assertUsable();
      this.#note(cause as Error);
      throw this.#lost();
    } finally {
      for (const buffer of staged) buffer.release();
    }
  }

  /** Frees all memory; the caller's device lives on. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#memory.destroy();
    this.#programs.clear();
    this.#encodings.destroy();
    if (this.#ownsDevice) this.device.destroy();
  }

  /** How often something new was made, of which the device may say that there is no room for it. */
  get #made(): number {
    return this.#memory.made + this.#compiled;
  }

  #note(error: Objection | null): void {
    if (error) this.#trouble ??= `an error of the device (${error.message})`;
  }

  #lost(): BatchNormError {
    return new BatchNormError(
      'DEVICE_LOST',
      `received ${this.#trouble ?? 'no answer of the device'}, expected one that works: a new backend can carry on from the layer's state`,
    );
  }
}

function refuseEncoder(encoder: GPUCommandEncoder, is: string, { message }: Objection): never {
  refuse('INVALID_OPTION', `encoder ${describe(encoder)}`, `a GPUCommandEncoder that ${is} (${message})`);
}

function refuseWork({ message }: Objection): never {
  throw new BatchNormError(
    'INVALID_TENSOR',
    `received work that the device refuses, expected buffers that are alive: ${message}`,
  );
}
