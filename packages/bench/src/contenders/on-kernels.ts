// A backend as a contender: the operations of its kernels, called as the layer calls them, without the layer's queue and
// validation.
import type { BackendEntry } from '@batchnorm/catalogue';
import {
  type Backend,
  BatchNormError,
  type DeviceMemory,
  type DeviceTensor,
  elementsFrom,
  type ForwardTrainingOutput,
  type HostMemory,
  type Kernels,
  type MaybePromise,
  type Operations,
  operationsOf,
  product,
  type Saved,
} from '@batchnorm/core-api';
import { epsilon, type Results, type Workload } from '../cases/workload.js';
import { timed } from '../timing/clock.js';
import { addReluCalls, type Halves } from './add-relu.js';
import { type Contender, type Description, type Entrant, type TimedCall, Unavailable } from './contender.js';
import { after, hostCalls } from './host-calls.js';
import { type HostTensors, hostTensors } from './host-tensors.js';
import { watchInstantiation } from './instantiation.js';

/** `loadOperationsOf`: how kernels become operations, by this commit's contract or another's. */
export function onKernels(
  name: string,
  { platforms, load, create }: BackendEntry,
  loadOperationsOf: () => Promise<typeof operationsOf> = async () => operationsOf,
): Contender {
  return {
    name,
    kind: 'backend',
    platforms,
    enter: async (workload) => {
      const [module, operationsOfKernels] = [await load(), await loadOperationsOf()];
      const [[backend, instantiation], creation] = await timed(() => watchInstantiation(() => create(module)));
      try {
        return await enterKernels(backend, operationsOfKernels, workload, { creation, instantiation });
      } catch (error) {
        await backend.dispose();
        throw error;
      }
    },
  };
}

/** What `backend` says of itself. */
export function describe(
  { execution: { engine, threads, accumulation } }: Backend,
  making: Pick<Description, 'creation' | 'instantiation' | 'preparation'>,
): Description {
  return { engine, threads, accumulation, ...making };
}

/** Errors: `Unavailable` for a dtype or a size that it says it lacks. */
export function assertCapable({ capabilities, name }: Backend, { dtype, shape }: Workload): void {
  if (!capabilities.dtypes.includes(dtype)) throw new Unavailable(`'${name}' has no ${dtype}`);
  const { elements } = capabilities.limits;
  if (product(shape) > elements) throw new Unavailable(`'${name}' has at most ${elements} elements`);
}

async function enterKernels(
  backend: Backend,
  operationsOfKernels: typeof operationsOf,
  workload: Workload,
  making: Pick<Description, 'creation' | 'instantiation'>,
): Promise<Entrant> {
  assertCapable(backend, workload);
  const { extent, dtype } = workload;
  let withRelu: Kernels | undefined;
  const [kernels, preparation] = await timed(() => backend.prepare({ extent, dtype }));
  const host = operationsOfKernels<HostMemory>(kernels);
  const prepareRelu = async () => {
    withRelu ??= await backend.prepare({ extent, dtype, activation: 'relu' });
    return withRelu;
  };
  const deviceOf = (prepared: Kernels) => operationsOfKernels<DeviceMemory>(prepared.device!);
  const device =
    kernels.device && (await onDevice(backend, deviceOf(kernels), async () => deviceOf(await prepareRelu()), workload));
  return {
    description: describe(backend, { ...making, preparation }),
    calls: [
      ...hostTensors(backend, workload).flatMap((tensors) => onHost(host, workload, tensors)),
      ...addReluCalls(workload, {
        plain: halvesOf(host, workload),
        fused: async () => halvesOf(operationsOfKernels<HostMemory>(await prepareRelu()), workload),
      }),
      ...(device?.calls ?? []),
    ],
    dispose: async () => {
      withRelu?.dispose();
      device?.dispose();
      kernels.dispose();
      await backend.dispose();
    },
  };
}

/** Arrays in, arrays out, into the same buffers every time. */
function onHost(
  operations: Operations<HostMemory>,
  { gamma, beta, running }: Workload,
  { memory, dgamma, dbeta, ...tensors }: HostTensors,
): TimedCall[] {
  const [x, dy, y, dx] = [tensors.x.data, tensors.dy.data, tensors.y.data, tensors.dx.data];
  const latest = new Latest();
  const forward = () =>
    after(operations.forwardTraining({ x, gamma, beta, epsilon, y, requireFinite: true }), latest.keep);
  const backward = () =>
    after(
      operations.backwardTraining({ saved: latest.saved, dy, dx, dgamma, dbeta, parameterGradients: true }),
      nothing,
    );
  const inference = new Latest();
  const infer = () => after(operations.forwardInference({ x, gamma, beta, epsilon, ...running, y }), inference.keep);
  return hostCalls({ forward, backward, infer, memory, results: () => ({ y, dx, dgamma, dbeta }) });
}

/** A training step on host arrays. */
function halvesOf(operations: Operations<HostMemory>, { x, gamma, beta }: Workload): Halves {
  const latest = new Latest();
  return {
    forward: ({ residual, y }) =>
      after(operations.forwardTraining({ x, residual, gamma, beta, epsilon, y, requireFinite: true }), latest.keep),
    backward: ({ dy, dx, dresidual, dgamma, dbeta }) => {
      const buffers = { dx, dresidual, dgamma, dbeta };
      return after(
        operations.backwardTraining({ saved: latest.saved, dy, ...buffers, parameterGradients: true }),
        nothing,
      );
    },
  };
}

interface OnDevice {
  readonly calls: readonly TimedCall[];
  dispose(): void;
}

/**
 * x and dy are on the device. A backward reads dgamma and dbeta, as an optimiser does; a device works in order, so when
 * they are there everything before them is done. A forward has no small result: after it a number that was uploaded
 * once is read instead. Kernels with ReLU are loaded when they are timed first.
 */
async function onDevice(
  backend: Backend,
  operations: Operations<DeviceMemory>,
  loadWithRelu: () => Promise<Operations<DeviceMemory>>,
  workload: Workload,
): Promise<OnDevice> {
  const { shape, dtype, gamma, beta, running } = workload;
  const x = await backend.upload({ data: workload.x, shape });
  const dy = await backend.upload({ data: workload.dy, shape });
  const one = await backend.upload({
    data: elementsFrom(dtype, [1]),
    shape: [1, 1],
  });
  /** Waits for the device. Not needed where host and device share memory: there a call that has returned is done. */
  const settle = () => (one.view === undefined ? after(one.read(), nothing) : undefined);
  const [latest, inference] = [new Latest(), new Latest()];
  let withRelu: Operations<DeviceMemory> | undefined;
  let residual: DeviceTensor | undefined;
  const prepareAddRelu = async () => {
    withRelu ??= await loadWithRelu();
    residual ??= await backend.upload({ data: workload.residual(), shape });
  };
  let results: {
    y?: DeviceTensor;
    dx?: DeviceTensor;
    dresidual?: DeviceTensor;
    dgamma?: Float64Array;
    dbeta?: Float64Array;
  } = {};
  let arrays: Results = {};
  /** Disposes what the step before left on the device, so that its memory serves again. */
  const release = (...names: ('y' | 'dx' | 'dresidual')[]) => {
    for (const name of names) {
      results[name]?.dispose();
      delete results[name];
    }
  };

  const forwardBy = (by: Operations<DeviceMemory>, residual?: DeviceTensor) => {
    release('y');
    const input = { x, residual, gamma, beta, epsilon, y: undefined, requireFinite: true };
    return after(by.forwardTraining(input), (output) => {
      momentsOf(output).dispose();
      latest.keep(output);
      results.y = output.y;
    });
  };
  const infer = () => {
    release('y');
    const input = { x, gamma, beta, epsilon, ...running, y: undefined };
    return after(operations.forwardInference(input), (output) => {
      inference.keep(output);
      results.y = output.y;
    });
  };
  const backwardBy = (by: Operations<DeviceMemory>) => {
    release('dx', 'dresidual');
    const none = { dx: undefined, dresidual: undefined, dgamma: undefined, dbeta: undefined };
    const input = { saved: latest.saved, dy, ...none, parameterGradients: true };
    return after(by.backwardTraining(input), ({ dx, dresidual, ...output }) =>
      after(output.dgamma.read(), (dgamma) =>
        after(output.dbeta.read(), (dbeta) => {
          output.dgamma.dispose();
          output.dbeta.dispose();
          results = { ...results, dx, ...(dresidual && { dresidual }), dgamma, dbeta };
        }),
      ),
    );
  };
  const forward = () => forwardBy(operations);
  const backward = () => backwardBy(operations);
  const readActivations = async () => {
    const { y, dx, dresidual, ...vectors } = results;
    arrays = {
      ...vectors,
      ...(y && { y: await y.read() }),
      ...(dx && { dx: await dx.read() }),
      ...(dresidual && { dresidual: await dresidual.read() }),
    };
  };
  const call = (
    operation: TimedCall['operation'],
    work: () => MaybePromise<void>,
    before?: TimedCall['before'],
  ): TimedCall[] => [
    {
      operation,
      memory: 'device',
      ...(before && { before }),
      run: () => after(work(), settle),
      results: async () => {
        await readActivations();
        return arrays;
      },
    },
    {
      operation,
      memory: 'readback',
      ...(before && { before }),
      run: async () => {
        await work();
        await readActivations();
      },
      results: () => arrays,
    },
  ];
  return {
    calls: [
      ...call('forward-training', () => {
        release('dx', 'dresidual');
        return forward();
      }),
      ...call('forward-inference', () => {
        release('dx', 'dresidual');
        return infer();
      }),
      ...call(
        'backward',
        () => {
          release('y');
          return backward();
        },
        forward,
      ),
      ...call('training-step', () => after(forward(), backward)),
      ...call(
        'add-relu-step',
        () => after(forwardBy(withRelu!, residual), () => backwardBy(withRelu!)),
        prepareAddRelu,
      ),
    ],
    dispose: () => {
      release('y', 'dx', 'dresidual');
      for (const tensor of [x, dy, one, residual]) tensor?.dispose();
      latest.dispose();
      inference.dispose();
    },
  };
}

/** By contract 1 they were `statistics`. */
function momentsOf(output: ForwardTrainingOutput<DeviceMemory>): DeviceMemory['moments'] {
  return output.moments ?? (output as unknown as { statistics: DeviceMemory['moments'] }).statistics;
}

/** Keeps the saved forward of the latest call, and disposes the one before it only then, as the layer does. */
class Latest {
  #saved: Saved | undefined;

  readonly keep = ({ saved }: { readonly saved: Saved }): void => {
    this.#saved?.dispose();
    this.#saved = saved;
  };

  get saved(): Saved {
    if (this.#saved === undefined)
      throw new BatchNormError('FORWARD_REQUIRED', 'received a backward before a forward, expected one after it');
    return this.#saved;
  }

  dispose(): void {
    this.#saved?.dispose();
    this.#saved = undefined;
  }
}

const nothing = () => {};
