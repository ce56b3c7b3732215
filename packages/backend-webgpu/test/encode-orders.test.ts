// Random programs of steps in encoders of the caller, which are submitted at once, later, or together, with other calls and
// freed memory between: every result is that of the same calls on the CPU.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm, type BatchNormOptions, type DeviceTensor, type Tensor } from '@batchnorm/core-api';
import { batchOf, largestError } from '@batchnorm/testing/batches';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createWebGpuBackend, type WebGpuBackend } from '../src/index.js';
import { describeHere, ownDevice } from './here.js';

const numFeatures = 3;
const sizes = [2, 5, 40, 700];
const options: readonly Partial<BatchNormOptions>[] = [{}, { activation: 'relu' }, { momentum: 'exact' }];

/** One call of a layer. `input`: which of the tensors that are there. */
type Call =
  | { readonly kind: 'forward' | 'inference'; readonly layer: number; readonly input: number; readonly out: boolean }
  | { readonly kind: 'backward'; readonly layer: number; readonly input: number };

/**
 * `encode` leaves an encoder that waits; `submit` submits those that wait, all or the first. `abandon`: a forward in an
 * encoder that nobody asks for any more; where that `fails`, or is `told`, it must do no harm when it is submitted all the
 * same.
 */
type Action =
  | { readonly kind: 'encode'; readonly calls: readonly (Call | Refused)[] }
  | { readonly kind: 'submit'; readonly all: boolean }
  | {
      readonly kind: 'abandon';
      readonly input: number;
      readonly fails: boolean;
      readonly told: boolean;
      readonly isSubmitted: boolean;
    }
  | { readonly kind: 'dispose'; readonly input: number }
  | { readonly kind: 'settle'; readonly layer: number }
  | { readonly kind: 'upload'; readonly size: number }
  | Call;

/** A call that is refused, with a tensor of another number of channels. */
interface Refused {
  readonly kind: 'refused';
  readonly layer: number;
}

const layerIndex = fc.nat({ max: options.length - 1 });
const index = fc.nat({ max: 50 });
const call: fc.Arbitrary<Call> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('forward' as const, 'forward' as const, 'inference' as const),
    layer: layerIndex,
    input: index,
    out: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('backward' as const), layer: layerIndex, input: index }),
);
const refused: fc.Arbitrary<Refused> = fc.record({ kind: fc.constant('refused' as const), layer: layerIndex });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('encode' as const),
      calls: fc.array(fc.oneof({ weight: 8, arbitrary: call }, { weight: 1, arbitrary: refused }), { maxLength: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('submit' as const), all: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('abandon' as const),
      input: index,
      fails: fc.boolean(),
      told: fc.boolean(),
      isSubmitted: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('dispose' as const), input: index }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('settle' as const), layer: layerIndex }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('upload' as const), size: fc.nat({ max: sizes.length - 1 }) }),
  },
  { weight: 4, arbitrary: call },
);

/** A tensor on the device, what it must hold, and the encoders that must have been submitted before. */
interface Known {
  readonly onDevice: DeviceTensor;
  readonly onHost: Tensor;
  readonly after: ReadonlySet<GPUCommandEncoder>;
  /** Of its values. */
  readonly scale: number;
  /** A gradient may be nothing but rounding, of which no batch is normalised. */
  readonly isGradient?: boolean;
}

interface LayerPair {
  readonly onDevice: BatchNorm;
  readonly onHost: BatchNorm;
  /** Of the latest forward, whose x a backward needs. */
  forward: { readonly x: Known; readonly y: Known } | undefined;
}

class Machine {
  readonly #device: GPUDevice;
  readonly #backend: WebGpuBackend;
  readonly #layers: readonly LayerPair[];
  readonly #tensors: Known[] = [];
  #waiting: GPUCommandEncoder[] = [];
  #recording: GPUCommandEncoder | undefined;
  #seed = 0;

  constructor(device: GPUDevice, backend: WebGpuBackend) {
    this.#device = device;
    this.#backend = backend;
    const onHost = createJsBackend();
    this.#layers = options.map((more) => ({
      onDevice: new BatchNorm({ backend, numFeatures, ...more }),
      onHost: new BatchNorm({ backend: onHost, numFeatures, ...more }),
      forward: undefined,
    }));
  }

  async run(program: readonly Action[]): Promise<void> {
    for (const size of [0, 2]) await this.#upload(size);
    for (const action of program) await this.#do(action);
    this.#submit(this.#waiting.length);
    for (const known of this.#tensors) await expectEqual(known);
    for (const { onDevice, onHost } of this.#layers) {
      const [found, wanted] = [await onDevice.state(), await onHost.state()];
      expect(found.batchesTracked).toBe(wanted.batchesTracked);
      expect(largestError(found.runningMean!, wanted.runningMean!)).toBeLessThan(1e-5);
      expect(largestError(found.runningVariance!, wanted.runningVariance!)).toBeLessThan(1e-5);
    }
  }

  async dispose(): Promise<void> {
    for (const { onDevice, onHost } of this.#layers) for (const one of [onDevice, onHost]) await one.dispose();
    for (const { onDevice } of this.#tensors) onDevice.dispose();
  }

  async #do(action: Action): Promise<void> {
    switch (action.kind) {
      case 'encode': {
        const encoder = this.#device.createCommandEncoder();
        await this.#backend.encode(encoder, async () => {
          this.#recording = encoder;
          for (const call of action.calls) await (call.kind === 'refused' ? this.#refused(call) : this.#call(call));
        });
        this.#recording = undefined;
        this.#waiting.push(encoder);
        return;
      }
      case 'submit':
        return this.#submit(action.all ? this.#waiting.length : 1);
      case 'abandon':
        return this.#abandon(action);
      case 'dispose': {
        if (this.#tensors.length < 3) return;
        const [known] = this.#tensors.splice(action.input % this.#tensors.length, 1);
        return known!.onDevice.dispose();
      }
      case 'settle':
        if (this.#waiting.length === 0) await this.#layers[action.layer]!.onDevice.settle();
        return;
      case 'upload':
        return this.#upload(action.size);
      default:
        return this.#call(action);
    }
  }

  #submit(count: number): void {
    const commands = this.#waiting.splice(0, count).map((encoder) => encoder.finish());
    if (commands.length > 0) this.#device.queue.submit(commands);
  }

  async #upload(size: number): Promise<void> {
    const { x } = batchOf([sizes[size]!, numFeatures], { seed: ++this.#seed });
    this.#tensors.push({ onDevice: await this.#backend.upload(x), onHost: x, after: new Set(), scale: 1 });
  }

  async #abandon({ input, fails, told, isSubmitted }: Extract<Action, { kind: 'abandon' }>): Promise<void> {
    const { onDevice: x } = this.#tensors[input % this.#tensors.length]!;
    const layer = new BatchNorm({ backend: this.#backend, numFeatures, trackRunningStatistics: false });
    const encoder = this.#device.createCommandEncoder();
    const work = async () => {
      (await layer.forward(x)).dispose();
      if (fails) throw new Error('mine');
    };
    await this.#backend.encode(encoder, work).catch((error: Error) => expect(error.message).toBe('mine'));
    await layer.dispose();
    if (told) await this.#backend.abandon(encoder);
    if (!isSubmitted) return;
    this.#device.pushErrorScope('validation');
    this.#device.queue.submit([encoder.finish()]);
    const error = await this.#device.popErrorScope();
    expect(error?.message ?? '').toMatch(fails || told ? /destroyed/ : /^$/);
  }

  async #refused({ layer }: Refused): Promise<void> {
    const wrong = await this.#backend.upload(batchOf([4, numFeatures + 1]).x);
    await expect(this.#layers[layer]!.onDevice.forward(wrong)).rejects.toThrow(/channels|axis|features/);
    wrong.dispose();
  }

  /** What is not recorded runs at once: what it needs must have been submitted. */
  #submitFor(...operands: readonly Known[]): void {
    if (this.#recording) return;
    const last = Math.max(-1, ...operands.flatMap(({ after }) => [...after].map((one) => this.#waiting.indexOf(one))));
    this.#submit(last + 1);
  }

  async #call(call: Call): Promise<void> {
    const pair = this.#layers[call.layer]!;
    const after = new Set(this.#recording ? [this.#recording] : []);
    if (call.kind === 'backward') {
      if (!pair.forward || pair.forward.x.onDevice.disposed) return;
      const { x, y } = pair.forward;
      const { length } = x.onHost.data;
      const same = this.#tensors.filter(({ onHost }) => onHost.data.length === length);
      const dy = same[call.input % same.length];
      if (!dy) return;
      this.#submitFor(dy, x, y);
      const [found, wanted] = [await pair.onDevice.backward(dy.onDevice), await pair.onHost.backward(dy.onHost)];
      found.dgamma.dispose();
      found.dbeta.dispose();
      this.#tensors.push({ onDevice: found.dx, onHost: wanted.dx, after, scale: sizeOf(wanted.dx), isGradient: true });
      return;
    }
    const batches = this.#tensors.filter(({ isGradient }) => !isGradient);
    const x = batches[call.input % batches.length];
    if (!x) return;
    const training = call.kind === 'forward';
    if (!training && (this.#recording || this.#waiting.length > 0)) return;
    this.#submitFor(x);
    const target = call.out ? { out: await this.#backend.upload(x.onHost) } : {};
    const found = await pair.onDevice.forward(x.onDevice, { training, ...target });
    const wanted = await pair.onHost.forward(x.onHost, { training });
    const known = { onDevice: found, onHost: wanted, after, scale: sizeOf(wanted) };
    this.#tensors.push(known);
    pair.forward = { x, y: known };
  }
}

function sizeOf({ data }: Tensor): number {
  return (data as Float32Array).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
}

async function expectEqual({ onDevice, onHost, scale }: Known): Promise<void> {
  const found = (await onDevice.read()) as Float32Array;
  expect(largestError(found, onHost.data as Float32Array)).toBeLessThan(1e-3 * scale);
}

await describeHere(() => {
  it('100 programs give what the same calls give on the CPU', async () => {
    const device = await ownDevice();
    const errors: string[] = [];
    device.onuncapturederror = ({ error }) => errors.push(error.message);
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 4, maxLength: 25 }), async (program) => {
        const backend = await createWebGpuBackend({ device });
        const machine = new Machine(device, backend);
        await machine.run(program);
        await machine.dispose();
        expect(backend.allocatedBytes!()).toBe(0);
        await backend.dispose();
      }),
      { seed: 7, numRuns: 100, endOnFailure: true },
    );
    expect(errors).toEqual([]);
    device.destroy();
  });
});
