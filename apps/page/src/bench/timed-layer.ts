// A float32 layer on one backend with one batch, in a worker: verified by the kit on the very numbers that are timed,
// then timed.
import { meanTime } from '@batchnorm/bench/clock';
import { createBackend } from '@batchnorm/catalogue';
import { type FixtureCase, runConformance, solve } from '@batchnorm/conformance';
import { allocatesMemory, type Backend, BatchNorm, type Tensor } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import type { Operation } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import { lostDevice } from '../kit/lost-device.js';
import type { Verified } from '../messages.js';
import type { Memory, Shape } from '../shape.js';

interface Request {
  readonly backend: BackendName;
  readonly shape: Shape;
}

interface Sample {
  readonly operation: Operation;
  readonly memory: Memory;
  readonly sampleTime: number;
}

interface Tensors {
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly y: Tensor;
  readonly dx: Tensor;
}

export class TimedLayer {
  readonly verified: Verified;
  readonly #backend: Backend;
  readonly #layer: BatchNorm;
  readonly #tensors: Partial<Record<Memory, Tensors>>;
  /** The x of the latest training forward, which a backward differentiates; undefined after an inference. */
  #latestX: Tensor | undefined;

  private constructor(backend: Backend, fixture: FixtureCase, verified: Verified) {
    const layer = new BatchNorm({ ...fixture.options, backend });
    layer.gamma.set(fixture.gamma!.data);
    layer.beta.set(fixture.beta!.data);
    const [step] = fixture.steps;
    const tensor = (data: ArrayLike<number>): Tensor => ({ data: Float32Array.from(data), shape: step!.x.shape });
    this.verified = verified;
    this.#backend = backend;
    this.#layer = layer;
    this.#tensors = {
      host: {
        x: tensor(step!.x.data),
        dy: tensor(step!.dy!.data),
        y: tensor(step!.y!.data),
        dx: tensor(step!.dx!.data),
      },
    };
  }

  /** Errors: those of the factory; `DEVICE_LOST`; an `Error` when a result is wrong, so that nothing wrong is timed. */
  static async open({ backend: name, shape }: Request): Promise<TimedLayer> {
    const backend = await createBackend(name);
    const fixture = solve({
      name: shapeText(shape),
      why: 'the numbers that are timed',
      shape,
      x: (random) => 4 * random() - 1,
      dy: (random) => 2 * random() - 1,
    });
    const fixtures = [{ name: 'timed', cases: [fixture] }];
    const [result] = await runConformance(backend, { fixtures, dtypes: ['float32'] });
    const loss = lostDevice(result!);
    if (loss) throw loss;
    const { status, worst, ulps, messages } = result!;
    if (status !== 'passed') throw new Error(`not timed, because its results are wrong: ${messages.join('; ')}`);
    return new TimedLayer(backend, fixture, { worst, ulps });
  }

  /**
   * Seconds of one call: the mean, so that what one call leaves to the next counts. Null where the backend has no memory
   * of its own that it was asked for.
   */
  async sample({ operation, memory, sampleTime }: Sample): Promise<number | null> {
    const tensors = this.#tensorsIn(memory);
    if (tensors === undefined) return null;
    const run = this.#runs(tensors)[operation];
    if (operation === 'backward' && this.#latestX !== tensors.x) await this.#runs(tensors)['forward-training']();
    await run(); // whatever ran before on this device leaves its traces in caches and queues
    const seconds = await meanTime(run, sampleTime);
    this.#latestX = operation === 'forward-inference' ? undefined : tensors.x;
    return seconds;
  }

  #tensorsIn(memory: Memory): Tensors | undefined {
    if (memory === 'allocated' && allocatesMemory(this.#backend, 'float32')) {
      const { x, dy } = this.#tensors.host!;
      const layer = this.#layer;
      this.#tensors.allocated ??= {
        x: layer.from(x),
        dy: layer.from(dy),
        y: layer.empty(x.shape),
        dx: layer.empty(x.shape),
      };
    }
    return this.#tensors[memory];
  }

  /** Into buffers that are there already. */
  #runs({ x, dy, y, dx }: Tensors): Readonly<Record<Operation, () => Promise<void>>> {
    const layer = this.#layer;
    const gradients = { dx, dgamma: layer.gamma.slice(), dbeta: layer.beta.slice() };
    const forward = async () => void (await layer.forward(x, { out: y }));
    const backward = async () => void (await layer.backward(dy, { out: gradients }));
    return {
      'forward-training': forward,
      'forward-inference': async () => void (await layer.forward(x, { training: false, out: y })),
      backward,
      'training-step': async () => {
        await forward();
        await backward();
      },
    };
  }
}
