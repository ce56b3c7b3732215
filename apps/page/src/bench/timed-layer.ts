// A float32 layer on one backend with one batch, in a worker: verified by the kit on the very numbers that are timed,
// then timed.
import { meanTime } from '@batchnorm/bench/clock';
import { createBackend } from '@batchnorm/catalogue';
import { type FixtureCase, runConformance, solve } from '@batchnorm/conformance';
import { type Backend, BatchNorm, type Tensor } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import type { Operation } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import { lostDevice } from '../kit/lost-device.js';
import type { Verified } from '../messages.js';
import type { Shape } from '../shape.js';

interface Request {
  readonly backend: BackendName;
  readonly shape: Shape;
}

export class TimedLayer {
  readonly verified: Verified;
  readonly #run: Readonly<Record<Operation, () => Promise<void>>>;
  /** The forward that a backward would differentiate now. */
  #latest: 'forward-training' | 'forward-inference' | undefined;

  private constructor(backend: Backend, fixture: FixtureCase, verified: Verified) {
    const layer = new BatchNorm({ ...fixture.options, backend });
    layer.gamma.set(fixture.gamma!.data);
    layer.beta.set(fixture.beta!.data);
    const [step] = fixture.steps;
    const tensor = (data: ArrayLike<number>): Tensor => ({
      data: Float32Array.from(data),
      shape: step!.x.shape,
    });
    // Host in, host out, into buffers that are there already: what a program without device tensors pays for.
    const [x, dy, y, dx] = [step!.x.data, step!.dy!.data, step!.y!.data, step!.dx!.data].map(tensor) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const gradients = { dx, dgamma: layer.gamma.slice(), dbeta: layer.beta.slice() };
    const forward = async () => void (await layer.forward(x, { out: y }));
    const backward = async () => void (await layer.backward(dy, { out: gradients }));
    this.verified = verified;
    this.#run = {
      'forward-training': forward,
      'forward-inference': async () => void (await layer.forward(x, { training: false, out: y })),
      backward,
      'training-step': async () => {
        await forward();
        await backward();
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

  /** Seconds of one call: the mean, so that what one call leaves to the next counts. */
  async sample(operation: Operation, sampleTime: number): Promise<number> {
    await this.#prepare(operation);
    const run = this.#run[operation];
    await run(); // whatever ran before on this device leaves its traces in caches and queues
    return meanTime(run, sampleTime);
  }

  /** Sees to it that a backward follows a training forward. */
  async #prepare(operation: Operation): Promise<void> {
    if (operation === 'backward' && this.#latest !== 'forward-training') await this.#run['forward-training']();
    this.#latest = operation === 'forward-inference' ? operation : 'forward-training';
  }
}
