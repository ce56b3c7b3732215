// Wrong about masks, residuals and ReLU alone: without them each is right.
import {
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  BatchNormError,
  type BatchNormOptions,
  type CountedPositions,
  type FloatArray,
  type ForwardOptions,
  type HostMemory,
  type Mask,
  type Plan,
  type Tensor,
} from '@batchnorm/core-api';
import { copyOf, layerOf, leaks, scatter, tensor } from './programs.js';
import type { RightBackend, RightSaved } from './right-backend.js';
import { onDevice, onHost, type RightWholeKernels, stagesOnHost, wholeKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4, 5];
const mask: Mask = {
  shape: [6, 5],
  data: Uint8Array.from({ length: 30 }, (_, p) => Number(p % 3 > 0 && p !== 29)),
};
const withAll = { activation: 'relu', residual: true, mask } as const;

interface Given {
  readonly shape?: readonly number[];
  readonly activation?: BatchNormOptions['activation'];
  readonly residual?: boolean;
  readonly mask?: Mask;
  readonly where?: 'host' | 'device';
  /** Of x at one element; of the residual and dy at another. */
  readonly change?: (x: FloatArray, residual: FloatArray, dy: FloatArray) => void;
  readonly parameters?: number;
}

/** Steps in training and inference: y, gradients and running statistics. */
const steps =
  ({ shape: of = shape, activation = 'none', residual = false, mask, where = 'host', change, parameters }: Given) =>
  async (backend: Backend): Promise<unknown> => {
    const layer = layerOf(backend, of[1]!, { activation });
    if (parameters !== undefined) for (const vector of [layer.gamma, layer.beta]) vector.fill(parameters);
    const [x, added, dy] = [tensor(of, 1), tensor(of, 2), tensor(of, 3)];
    change?.(x.data, added.data, dy.data);
    const put = async (one: Tensor) => (where === 'host' ? one : ((await backend.upload(one)) as unknown as Tensor));
    const copy = (one: Tensor) => copyOf(where === 'host' ? one.data : (one as never));
    const seen: unknown[] = [];
    for (const training of [true, false]) {
      const given = { training, ...(residual && { residual: await put(added) }), ...(mask && { mask }) };
      const y = await layer.forward(await put(x), given);
      const { dx, dresidual, dgamma, dbeta } = await layer.backward(await put(dy));
      seen.push(await copy(y), await copy(dx), dresidual && (await copy(dresidual)));
      seen.push(await copyOf(dgamma), await copyOf(dbeta));
    }
    await layer.settle();
    return [...seen, layer.runningMean.slice(), layer.runningVariance.slice()];
  };

/** Passes of one layer, whose forwards come one after the other and whose backwards go back. */
const passes =
  (options: readonly ForwardOptions[], activation: BatchNormOptions['activation'] = 'none') =>
  async (backend: Backend): Promise<unknown> => {
    const layer = layerOf(backend, 4, { activation });
    const alive = [];
    for (const each of options) alive.push(await layer.forwardPass(tensor(shape), each));
    const seen: unknown[] = alive.map(({ y }) => y);
    for (const pass of alive.toReversed()) seen.push(await pass.backward(tensor(shape, 3)));
    return seen;
  };

/** Whether element k is at a position that counts. */
const counts = ({ extent: { channels, inner } }: Plan, { positions }: CountedPositions, k: number) =>
  positions[Math.floor(k / (channels * inner)) * inner + (k % inner)] === 1;

const counted = (positions: Uint8Array): CountedPositions => ({
  positions,
  count: positions.reduce((sum, value) => sum + value, 0),
});

/** Another mask for every forward that has one; undefined: none. */
const otherMask =
  (change: (mask: CountedPositions, plan: Plan) => CountedPositions | undefined) => (right: RightBackend) =>
    onHost(right, (plan) => ({
      training: (input, next) => next({ ...input, mask: input.mask && change(input.mask, plan) }),
    }));

/** Something else that is kept for the backward of a forward with a mask. */
const otherSaved = (change: (saved: RightSaved & { M: number }, plan: Plan) => void) => (right: RightBackend) =>
  onHost(right, (plan) => ({
    training(input, next) {
      const output = next(input);
      if (input.mask) change(output.saved as RightSaved & { M: number }, plan);
      return output;
    },
  }));

/** Another residual for every forward that has one; undefined: none. */
const otherResidual =
  (change: (residual: FloatArray, y: FloatArray | undefined, x: FloatArray) => FloatArray | undefined) =>
  (right: RightBackend) =>
    onHost(right, () => ({
      forward: (input, next) => {
        const { residual, y, x } = input;
        const output = next({ ...input, residual: residual && change(residual, y, x) });
        // dresidual is there all the same.
        (output.saved as RightSaved).residual = residual;
        return output;
      },
    }));

/** The backward of a forward with a residual: something is done to its results. */
const otherBackward =
  (
    change: (
      output: BackwardOutput<HostMemory>,
      input: BackwardInput<HostMemory>,
      plan: Plan,
    ) => BackwardOutput<HostMemory>,
  ) =>
  (right: RightBackend) =>
    onHost(right, (plan) => ({
      backward(input, next) {
        const dy = input.dy.slice();
        const output = next(input);
        return output.dresidual ? change(output, { ...input, dy }, plan) : output;
      },
    }));

/** The z of a saved forward, and the parts of it. */
function zOf({ x, residual, mean, invStd, gamma, beta }: RightSaved, k: number, c: number) {
  const xHat = (x[k]! - mean[c]!) * invStd[c]!;
  const added = residual ? residual[k]! : 0;
  return { z: gamma[c]! * xHat + beta[c]! + added, xHat, residual: added, beta: beta[c]! };
}

/** Kernels of the same extent without an activation. */
function plainKernels(prepare: RightBackend['prepare'], plan: Plan): RightWholeKernels {
  return wholeKernels(prepare({ ...plan, activation: 'none' }));
}

/** Behind ReLU other elements of dy pass, or pass as something else. */
const otherGate = (pass: (parts: ReturnType<typeof zOf>, dy: number) => number) => (right: RightBackend) => {
  const { prepare } = right;
  return onHost(right, (plan) => {
    if (plan.activation !== 'relu') return {};
    const plain = plainKernels(prepare, plan);
    const { channels, inner } = plan.extent;
    const gated = (input: BackwardInput<HostMemory>) => {
      const saved = input.saved as RightSaved;
      const g = input.dy.map((value: number, k: number) =>
        pass(zOf(saved, k, Math.floor(k / inner) % channels), value),
      );
      return { ...input, dy: g };
    };
    return {
      backwardTraining: (input) => plain.backwardTraining(gated(input)),
      backwardInference: (input) => plain.backwardInference(gated(input)),
    };
  });
};

/** y behind ReLU is another. */
const otherY = (change: (value: number) => number) => (right: RightBackend) =>
  onHost(right, ({ activation }) => ({
    forward(input, next) {
      const output = next(input);
      if (activation === 'relu') output.y.set(output.y.map(change));
      return output;
    },
  }));

const atTheKink = steps({
  activation: 'relu',
  residual: true,
  parameters: 0,
  change: (_, residual) => residual.set([0, -0, 1, -1, Number.NaN]),
});

const masked = 'masked results are within their bounds [host, rows, small]';
const notCounted = 'what does not count does not show [host, rows, small]';
const bounds = 'residuals and ReLU are within their bounds [host, rows, small]';
const kink = 'ReLU is 0 where z is 0 or −0, and lets NaN through [host, rows, small]';
const ownership = 'dresidual is the caller’s [host, rows, small]';

const masks: readonly WrongBackend[] = [
  {
    name: 'no mask',
    caughtBy: masked,
    why: 'the mask is ignored',
    spoil: otherMask(() => undefined),
    program: steps({ mask }),
  },
  {
    name: 'no mask in dx',
    caughtBy: masked,
    why: 'the gradient passes through the statistics to every position',
    spoil: otherSaved((saved) => {
      saved.mask = undefined;
    }),
    program: steps({ mask }),
  },
  {
    name: 'the mask of the first sample for all',
    caughtBy: 'masked results are within their bounds [host, runs, small]',
    why: 'positions are looked up within a run, not within the batch',
    spoil: otherMask(({ positions }, { extent: { inner } }) => counted(positions.map((_, p) => positions[p % inner]!))),
    program: steps({ mask: { shape: [6, 5], data: mask.data.map((_, p) => Number(p < 12 && p % 5 !== 4)) } }),
  },
  {
    name: 'masks in whole bytes of bits',
    caughtBy: masked,
    why: 'positions after the last eight count in any case',
    spoil: otherMask(({ positions }) =>
      counted(positions.map((value, p) => (p < positions.length - (positions.length % 8) ? value : 1))),
    ),
    program: steps({ mask }),
  },
  {
    name: 'one position is none',
    caughtBy: masked,
    why: 'a mask by which one position counts is taken for no mask',
    spoil: otherMask((given) => (given.count === 1 ? undefined : given)),
    program: steps({ mask: { shape: [6, 5], data: mask.data.map((_, p) => Number(p === 7)) } }),
  },
  {
    name: 'masks of short batches alone',
    caughtBy: 'masked results are within their bounds [host, rows, rows or channels]',
    why: 'from 65,536 positions on the mask is ignored',
    spoil: otherMask((given) => (given.positions.length >= 65_536 ? undefined : given)),
    program: steps({ shape: [65_537, 2], mask: { shape: [65_537], data: scattered(65_537) } }),
  },
  {
    name: 'no mask on the device',
    caughtBy: 'masked results are within their bounds [device, rows, small]',
    why: 'with device tensors the mask is ignored',
    spoil: (right) => onDevice(right, () => ({ training: (input, next) => next({ ...input, mask: undefined }) })),
    program: steps({ mask, where: 'device' }),
  },
  {
    name: 'what does not count times 0',
    caughtBy: notCounted,
    why: 'sums are of mask · x, so that NaN where nothing counts is NaN everywhere',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          const isSpoiled = input.mask && !input.x.every(Number.isFinite);
          if (isSpoiled)
            for (const values of [output.y, output.moments.mean, output.moments.m2]) values.fill(Number.NaN);
          return output;
        },
      })),
    program: steps({ mask, change: (x) => x.fill(Number.NaN, 0, 1) }),
  },
  {
    name: 'refused for what does not count',
    caughtBy: notCounted,
    why: 'a batch with NaN in its padding is refused, as one that is not finite',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          if (input.requireFinite && input.mask && !input.x.every(Number.isFinite)) {
            throw new BatchNormError('NON_FINITE_STATISTICS', 'received NaN, expected finite numbers');
          }
          return next(input);
        },
      })),
    program: steps({ mask, change: (x) => x.fill(Number.NaN, 0, 1) }),
  },
  {
    name: 'means over all positions',
    caughtBy: masked,
    why: 'dx divides the sums by all values, not by those that count',
    spoil: otherSaved((saved, { extent: { outer, inner } }) => {
      saved.M = outer * inner;
    }),
    program: steps({ mask }),
  },
  {
    name: 'moments of more than count',
    caughtBy: masked,
    why: 'the count of masked moments is that of all positions',
    spoil: (right) =>
      stagesOnHost(right, ({ moments }, { extent: { outer, inner } }) => ({
        moments: (input) => ({ ...moments(input), count: outer * inner }),
      })),
    program: async (backend) => layerOf(backend, 4).moments(tensor(shape), { mask }),
  },
  {
    name: 'moments without a mask',
    caughtBy: masked,
    why: 'forwards have one, moments alone do not',
    spoil: (right) =>
      stagesOnHost(right, ({ moments }) => ({ moments: (input) => moments({ ...input, mask: undefined }) })),
    program: async (backend) => layerOf(backend, 4).moments(tensor(shape), { mask }),
  },
  {
    name: 'a pivot that does not count',
    caughtBy: masked,
    why: 'sums are around the first value, which may be padding, far from all others',
    spoil: (right) =>
      onHost(right, (plan) => ({
        training(input, next) {
          const { moments, ...output } = next(input);
          if (!input.mask) return { moments, ...output };
          const { channels, inner } = plan.extent;
          const m2 = moments.m2.map((_, c) => {
            const pivot = input.x[c * inner]!;
            let [sum, square] = [0, 0];
            for (let k = 0; k < input.x.length; k++) {
              if (Math.floor(k / inner) % channels !== c || !counts(plan, input.mask!, k)) continue;
              sum += input.x[k]! - pivot;
              square += (input.x[k]! - pivot) ** 2;
            }
            return square - sum ** 2 / input.mask!.count;
          });
          return { ...output, moments: { ...moments, m2 } };
        },
      })),
    program: steps({ mask, change: (x) => x.fill(1e9, 0, 1) }),
    tolerance: 1e-6,
  },
  {
    name: 'dgamma of what counts',
    caughtBy: masked,
    why: 'positions that do not count have no part in dgamma',
    spoil: (right) => overCountedAlone(right, 'dgamma'),
    program: steps({ mask }),
  },
  {
    name: 'dbeta of what counts',
    caughtBy: masked,
    why: 'positions that do not count have no part in dbeta',
    spoil: (right) => overCountedAlone(right, 'dbeta'),
    program: steps({ mask }),
  },
  {
    name: 'no gradient where nothing counts',
    caughtBy: masked,
    why: 'dx is 0 at positions that do not count',
    spoil: (right) =>
      onHost(right, (plan) => ({
        backwardTraining(input, next) {
          const { mask } = input.saved as RightSaved;
          const output = next(input);
          if (mask) output.dx.set(output.dx.map((value, k) => (counts(plan, mask, k) ? value : 0)));
          return output;
        },
      })),
    program: steps({ mask }),
  },
  {
    name: 'padding becomes 0',
    caughtBy: masked,
    why: 'positions that do not count are not normalised: their y is 0',
    spoil: (right) =>
      onHost(right, (plan) => ({
        training(input, next) {
          const output = next(input);
          const { mask } = input;
          if (mask) output.y.set(output.y.map((value, k) => (counts(plan, mask, k) ? value : 0)));
          return output;
        },
      })),
    program: steps({ mask }),
  },
  {
    name: 'the latest mask',
    caughtBy: 'a mask is that of its call [host, rows, small]',
    why: 'a backward goes by the mask of the latest forward of its kernels',
    spoil: (right) =>
      onHost(right, () => {
        let latest: CountedPositions | undefined;
        return {
          training(input, next) {
            latest = input.mask;
            return next(input);
          },
          backwardTraining(input, next) {
            (input.saved as RightSaved).mask = latest;
            return next(input);
          },
        };
      }),
    program: passes([{ mask }, {}]),
  },
  {
    name: 'once masked, always masked',
    caughtBy: 'a mask is that of its call [host, rows, small]',
    why: 'a forward without a mask has that of the forward before it',
    spoil: (right) =>
      onHost(right, () => {
        let latest: CountedPositions | undefined;
        return {
          training(input, next) {
            latest = input.mask ?? latest;
            return next({ ...input, mask: latest });
          },
        };
      }),
    program: passes([{ mask }, {}]),
  },
  {
    name: 'a part of which nothing counts',
    caughtBy: 'moments and sums of parts are put together [host]',
    why: 'in normalize a mask by which nothing counts is taken for none: dx passes through the moments of others',
    spoil: (right) =>
      stagesOnHost(right, ({ normalize }) => ({
        normalize: (input) => normalize({ ...input, mask: input.mask?.count === 0 ? undefined : input.mask }),
      })),
    async program(backend) {
      const kernels = await backend.prepare({ extent: { outer: 6, channels: 4, inner: 5 }, dtype: 'float32' });
      const [x, dy] = [tensor(shape).data, tensor(shape, 3).data];
      const vectors = { gamma: new Float64Array(4).fill(1), beta: new Float64Array(4), epsilon: 1e-3 };
      const batch = { count: 7, mean: new Float64Array(4), m2: new Float64Array(4).fill(8) };
      const none = { positions: new Uint8Array(30), count: 0 };
      const { saved } = await kernels.normalize({ ...vectors, x, y: undefined, mask: none, by: { batch } });
      const sums = await kernels.gradientSums({ saved, dy });
      const buffers = { dx: undefined, dgamma: undefined, dbeta: undefined };
      return kernels.inputGradient({ saved, dy, ...buffers, sums, total: sums });
    },
  },
];

const residuals: readonly WrongBackend[] = [
  {
    name: 'no residual',
    caughtBy: bounds,
    why: 'it is ignored',
    spoil: otherResidual(() => undefined),
    program: steps({ residual: true }),
  },
  {
    name: 'no residual in inference',
    caughtBy: bounds,
    why: 'it is ignored where running statistics normalise',
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next({ ...input, residual: undefined });
          (output.saved as RightSaved).residual = input.residual;
          return output;
        },
      })),
    program: steps({ residual: true }),
  },
  {
    name: 'residuals in whole vectors',
    caughtBy: bounds,
    why: 'the elements after the last four get nothing',
    spoil: otherResidual((residual) =>
      residual.map((value: number, k: number) => (k < residual.length - (residual.length % 4) ? value : 0)),
    ),
    program: steps({ shape: [3, 3, 3], residual: true }),
  },
  {
    name: 'small residuals alone',
    caughtBy: 'residuals and ReLU are within their bounds [host, rows, elements]',
    why: 'from 65,536 elements on the residual is ignored',
    spoil: otherResidual((residual) => (residual.length >= 65_536 ? undefined : residual)),
    program: steps({ shape: [300, 5, 50], residual: true }),
  },
  {
    name: 'no residual on the device',
    caughtBy: 'residuals and ReLU are within their bounds [device, rows, small]',
    why: 'with device tensors it is added to nothing',
    spoil: (right) =>
      onDevice(right, () => ({
        async forward(input, next) {
          const output = await next({ ...input, residual: undefined });
          const { residual } = input;
          if (residual) (output.saved as RightSaved).residual = await residual.read();
          return output;
        },
      })),
    program: steps({ residual: true, where: 'device' }),
  },
  {
    name: 'no residual in place',
    caughtBy: bounds,
    why: 'inference over x forgets it',
    spoil: otherResidual((residual, y, x) => (y === x ? undefined : residual)),
    async program(backend) {
      const x = tensor(shape);
      await layerOf(backend, 4).forward(x, { training: false, out: x, residual: tensor(shape, 2) });
      return x;
    },
  },
  {
    name: 'z in the residual',
    caughtBy: ownership,
    why: 'adds to the residual, and copies the sum to y',
    spoil: (right) =>
      onHost(right, ({ activation }) => ({
        forward(input, next) {
          const output = next(input);
          if (activation === 'none') input.residual?.set(output.y);
          return output;
        },
      })),
    async program(backend) {
      const residual = tensor(shape, 2);
      await layerOf(backend, 4).forward(tensor(shape), { residual });
      return residual;
    },
  },
  {
    name: 'no dresidual without ReLU',
    caughtBy: bounds,
    why: 'it would be dy, which the caller has',
    spoil: (right) =>
      onHost(right, ({ activation }) => ({
        backward: (input, next) => (activation === 'none' ? { ...next(input), dresidual: undefined } : next(input)),
      })),
    program: steps({ residual: true }),
  },
  {
    name: 'dresidual is the array of dy',
    caughtBy: ownership,
    why: 'without ReLU a new dresidual is dy itself',
    spoil: (right) =>
      onHost(right, ({ activation }) => ({
        backward(input, next) {
          const output = next(input);
          const isNew = activation === 'none' && output.dresidual && !input.dresidual && input.dx !== input.dy;
          return isNew ? { ...output, dresidual: input.dy } : output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const dy = tensor(shape, 3);
      await layer.forward(tensor(shape), { residual: tensor(shape, 2) });
      (await layer.backward(dy)).dresidual?.data.fill(7);
      return dy;
    },
  },
  {
    name: 'dresidual over dx',
    caughtBy: bounds,
    why: 'a new dresidual lies where the new dx lies',
    spoil: otherBackward((output, { dx, dresidual }) =>
      dx || dresidual ? output : { ...output, dx: output.dresidual! },
    ),
    program: steps({ residual: true }),
  },
  {
    name: 'dresidual after dx over dy',
    caughtBy: bounds,
    why: 'where dx is written over dy, dresidual is made of it',
    spoil: otherBackward((output, { dx, saved }) => {
      // The hook has copied dy: dx is that of the caller.
      if (dx && (saved as RightSaved).residual) output.dresidual!.set(output.dx);
      return output;
    }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const dy = tensor(shape, 3);
      await layer.forward(tensor(shape), { residual: tensor(shape, 2) });
      return (await layer.backward(dy, { out: { dx: dy } })).dresidual;
    },
  },
  {
    name: 'no buffer for dresidual',
    caughtBy: ownership,
    why: 'out.dresidual is ignored',
    spoil: (right) => onHost(right, () => ({ backward: (input, next) => next({ ...input, dresidual: undefined }) })),
    program: intoDresidual,
  },
  {
    name: 'dresidual is added to',
    caughtBy: ownership,
    why: 'a buffer for dresidual keeps what it held, plus g',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const before = input.dresidual?.slice();
          const output = next(input);
          if (before) output.dresidual!.set(before.map((value, k) => value + output.dresidual![k]!));
          return output;
        },
      })),
    program: intoDresidual,
  },
  {
    name: 'the latest residual',
    caughtBy: 'a residual is that of its forward [host, rows, small]',
    why: 'the gates of a backward are those of the latest residual of its kernels',
    spoil: (right) =>
      onHost(right, () => {
        let latest: FloatArray | undefined;
        return {
          forward(input, next) {
            latest = input.residual ?? latest;
            return next(input);
          },
          backward(input, next) {
            const saved = input.saved as RightSaved;
            saved.residual &&= latest;
            return next(input);
          },
        };
      }),
    program: passes([{ residual: tensor(shape, 2) }, { residual: tensor(shape, 4) }], 'relu'),
  },
  {
    name: 'keeps every residual',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'what a backward of ReLU needs is never let go',
    spoil: (right) =>
      onHost(right, () => {
        const kept: FloatArray[] = [];
        return {
          forward(input, next) {
            if (input.residual) kept.push(input.residual.slice());
            return next(input);
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [x, residual, out] = [tensor([600, 4]), tensor([600, 4], 2), tensor([600, 4])];
      return leaks(400, () => layer.forward(x, { residual, out }));
    },
  },
];

const relu: readonly WrongBackend[] = [
  {
    name: 'no ReLU in inference',
    caughtBy: bounds,
    why: 'it is forgotten where running statistics normalise',
    spoil: (right) => {
      const { prepare } = right;
      return onHost(right, (plan) => {
        const plain = plainKernels(prepare, plan);
        return { inference: (input) => plain.forwardInference(input) };
      });
    },
    program: steps({ activation: 'relu' }),
  },
  {
    name: 'ReLU before the residual',
    caughtBy: bounds,
    why: 'the residual is added to what ReLU let through',
    spoil: (right) =>
      onHost(right, ({ activation }) => ({
        forward(input, next) {
          const { residual } = input;
          if (activation === 'none' || !residual) return next(input);
          const added = residual.slice();
          const output = next({ ...input, residual: undefined });
          output.y.set(output.y.map((value, k) => value + added[k]!));
          (output.saved as RightSaved).residual = residual;
          return output;
        },
      })),
    program: steps({ activation: 'relu', residual: true }),
  },
  {
    name: 'ReLU gives −0',
    caughtBy: bounds,
    why: 'y is −0 where nothing passes',
    spoil: otherY((value) => (value === 0 ? -0 : value)),
    async program(backend) {
      const { data } = await layerOf(backend, 4, { activation: 'relu' }).forward(tensor(shape));
      return data.map((value) => 1 / value);
    },
  },
  {
    name: 'ReLU gives 0 for NaN',
    caughtBy: kink,
    why: 'y is 0 where z is NaN',
    spoil: otherY((value) => (Number.isNaN(value) ? 0 : value)),
    program: atTheKink,
  },
  {
    name: 'ReLU up to 6',
    caughtBy: kink,
    why: 'large y are 6',
    spoil: otherY((value) => Math.min(value, 6)),
    program: steps({ activation: 'relu', residual: true, change: (_, residual) => residual.fill(100, 0, 5) }),
  },
  {
    name: 'dy passes where z is 0',
    caughtBy: kink,
    why: 'the gate is z ≥ 0',
    spoil: otherGate(({ z }, dy) => (z < 0 ? 0 : dy)),
    program: atTheKink,
  },
  {
    name: 'dy does not pass where z is NaN',
    caughtBy: kink,
    why: 'the gate is z > 0',
    spoil: otherGate(({ z }, dy) => (z > 0 ? dy : 0)),
    program: atTheKink,
  },
  {
    name: 'dy is multiplied by its gate',
    caughtBy: kink,
    why: 'NaN in dy times 0 is NaN where nothing passes',
    spoil: otherGate(({ z }, dy) => (z <= 0 ? 0 : 1) * dy),
    program: steps({
      ...{ activation: 'relu', residual: true },
      change(_, residual, dy) {
        residual[0] = -1000;
        dy[0] = Number.NaN;
      },
    }),
  },
  {
    name: 'the gate without the residual',
    caughtBy: bounds,
    why: 'backward recomputes z from x alone',
    spoil: otherGate(({ z, residual }, dy) => (z - residual <= 0 ? 0 : dy)),
    program: steps({ activation: 'relu', residual: true }),
  },
  {
    name: 'the gate of the residual',
    caughtBy: bounds,
    why: 'dy passes where the residual is positive',
    spoil: otherGate(({ z, residual }, dy) => ((residual === 0 ? z : residual) <= 0 ? 0 : dy)),
    program: steps({ activation: 'relu', residual: true }),
  },
  {
    name: 'the gate without beta',
    caughtBy: bounds,
    why: 'dy passes where gamma · xHat + residual is positive',
    spoil: otherGate(({ z, beta }, dy) => (z - beta <= 0 ? 0 : dy)),
    program: steps({ activation: 'relu' }),
  },
  {
    name: 'the gate of xHat',
    caughtBy: bounds,
    why: 'dy passes where x is above the mean, whatever gamma is',
    spoil: otherGate(({ xHat }, dy) => (xHat <= 0 ? 0 : dy)),
    program: steps({ activation: 'relu' }),
  },
  {
    name: 'dresidual without ReLU',
    caughtBy: bounds,
    why: 'dresidual is dy',
    spoil: otherBackward((output, { dy }) => {
      output.dresidual!.set(dy);
      return output;
    }),
    program: steps({ activation: 'relu', residual: true }),
  },
  {
    name: 'sums without ReLU',
    caughtBy: bounds,
    why: 'dbeta is Σ dy',
    spoil: (right) => {
      const { prepare } = right;
      return onHost(right, (plan) => {
        const plain = plainKernels(prepare, plan);
        return {
          backward(input, next) {
            const dy = input.dy.slice();
            const { dbeta } = plain.backwardInference({
              ...input,
              dy,
              dx: undefined,
              dresidual: undefined,
              dbeta: undefined,
              dgamma: undefined,
            });
            const output = next(input);
            output.dbeta.set(dbeta);
            return output;
          },
        };
      });
    },
    program: steps({ activation: 'relu' }),
  },
  {
    name: 'no ReLU behind a mask',
    caughtBy: 'a mask goes with a residual and ReLU [host, rows, small]',
    why: 'kernels for masks know no ReLU',
    spoil: (right) => {
      const { prepare } = right;
      return onHost(right, (plan) => {
        const plain = plainKernels(prepare, plan);
        return { training: (input, next) => (input.mask ? plain.forwardTraining(input) : next(input)) };
      });
    },
    program: steps(withAll),
  },
];

export const extras: readonly WrongBackend[] = [...masks, ...residuals, ...relu];

/** 0 and 1, the first of them 0. */
function scattered(length: number): Uint8Array {
  const values = scatter(new Float32Array(length), 5);
  return Uint8Array.from(values, (value, p) => Number(p > 0 && value > 0));
}

async function intoDresidual(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const dresidual = tensor(shape, 9);
  await layer.forward(tensor(shape), { residual: tensor(shape, 2) });
  await layer.backward(tensor(shape, 3), { out: { dresidual } });
  return dresidual;
}

/** One of the gradients of parameters is summed over the positions that count. */
function overCountedAlone(right: RightBackend, name: 'dgamma' | 'dbeta'): Backend {
  return onHost(right, (plan) => ({
    backwardTraining(input, next) {
      const { mask } = input.saved as RightSaved;
      if (!mask) return next(input);
      const dy = input.dy.map((value: number, k: number) => (counts(plan, mask, k) ? value : 0));
      const own = { dx: undefined, dresidual: undefined, dgamma: undefined, dbeta: undefined };
      const partly = next({ ...input, ...own, dy });
      const output = next(input);
      output[name].set(partly[name]);
      return output;
    },
  }));
}
