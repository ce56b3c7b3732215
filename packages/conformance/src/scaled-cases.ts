// The ends of float64. Multiplied by powers of two, a problem without epsilon has the same results, multiplied: not one
// rounding differs. So the oracle need not go where its own squares and products end.
import { BatchNorm, BatchNormError, extentOf, type FloatArray, valuesPerChannel } from '@batchnorm/core-api';
import { accumulationOf } from './arithmetic.js';
import { boundsOf } from './bounds.js';
import { type Check, compare, identical } from './compare.js';
import type { ConformanceCase, MemoryKind, Refusal, Subject } from './conformance-case.js';
import { type Activation, activationMemory, type Vector } from './memory/activation-memory.js';
import { kindsOf } from './memory/kinds.js';
import * as oracle from './oracle.js';
import { normal, randomSeededBy } from './problem.js';
import { refusedByLimit } from './refused-by-limit.js';

/** Exponents of two. */
interface Scaling {
  readonly name: string;
  readonly x: number;
  readonly dy?: number;
  readonly gamma?: number;
  /** Whether given statistics leave nothing that could be refused. Default false. */
  readonly isRightInInference?: boolean;
}

/** Each is within float64, and so are its y and gradients; what lies between them is not. */
const scalings: readonly Scaling[] = [
  { name: 'nothing', x: 0, isRightInInference: true },
  { name: 'squares beyond float64', x: 600 },
  { name: 'sums of squares beyond float64', x: 510 },
  { name: 'squares that have just all digits', x: -510, isRightInInference: true },
  { name: 'squares that are 0', x: -600 },
  { name: 'squares of few digits', x: -535 },
  { name: 'gamma/σ beyond float64', x: -100, dy: -300, gamma: 1000 },
  { name: 'gamma/σ that is 0', x: 420, dy: 500, gamma: -700 },
  { name: 'gamma/σ of few digits', x: 420, dy: 500, gamma: -640 },
  { name: 'dgamma/σ beyond float64', x: -440, dy: 660, gamma: -440, isRightInInference: true },
  { name: 'dgamma/σ that is 0', x: 330, dy: -760, gamma: 330, isRightInInference: true },
  { name: 'dgamma/σ of few digits', x: 330, dy: -730, gamma: 330, isRightInInference: true },
  { name: 'dgamma/σ/M of few digits', x: 330, dy: -711, gamma: 330, isRightInInference: true },
  { name: 'dy · (x − mean) that is 0', x: -450, dy: -650, isRightInInference: true },
  { name: 'dy · (x − mean) of few digits', x: -450, dy: -600, isRightInInference: true },
  { name: 'dy · (x − mean) beyond float64', x: 300, dy: 900, gamma: 200 },
];

const shapes = [
  [1024, 2],
  [3, 3, 21],
  [1, 2, 21],
];

/** Whether float64 can hold the variance, so that it can be given. */
const isGiven = ({ x }: Scaling) => Math.abs(2 * x) <= 1020;

type Outcome = readonly Check[] | 'refused';

export const scaledCases: readonly ConformanceCase[] = scalings.map((scaling) => ({
  group: 'adversarial',
  source: 'adversarial',
  name: `the ends of float64: ${scaling.name}`,
  why: 'finite numbers give right results, or are refused',
  inapplicable: ({ dtype }) => (dtype === 'float64' ? undefined : 'its numbers are beyond float32'),
  run: (subject) => run(subject, scaling),
}));

async function run(subject: Subject, scaling: Scaling): Promise<readonly Check[] | Refusal> {
  const refusal = await refusedByLimit(subject, shapes);
  if (refusal) return refusal;
  const outcomes: Outcome[] = [];
  for (const memory of kindsOf(subject.backend, 'float64')) {
    for (const shape of shapes) {
      outcomes.push(await judge(subject, scaling, memory, shape, true));
      if (isGiven(scaling)) outcomes.push(await judge(subject, scaling, memory, shape, false));
    }
  }
  const checks = outcomes.flatMap((outcome) => (outcome === 'refused' ? [] : outcome));
  const anyRefused = outcomes.includes('refused') && checks.every(({ passed }) => passed);
  return anyRefused ? { refused: 'NON_FINITE_STATISTICS' } : checks;
}

/** One forward and its backward, through the batch's statistics or beside the same, given. */
async function judge(
  { backend }: Subject,
  scaling: Scaling,
  kind: MemoryKind,
  shape: readonly number[],
  training: boolean,
): Promise<Outcome> {
  const { x: toX, dy: toDy = 0, gamma: toGamma = 0, isRightInInference = false } = scaling;
  const mayRefuse = training || !isRightInInference;
  const extent = extentOf(shape, 1);
  const random = randomSeededBy(shape.join());
  const draw = (length: number, make: () => number) => Float64Array.from({ length }, make);
  const length = valuesPerChannel(extent) * extent.channels;
  const x = draw(length, () => normal(random));
  // Along x, so that dgamma is as large as dbeta.
  const dy = x.map((value) => 1 + value + normal(random));
  const gamma = draw(extent.channels, () => 0.5 + random());
  const beta = new Float64Array(extent.channels);
  const statistics = oracle.batchStatistics(x, extent);
  const input = { extent, x, gamma, beta, epsilon: 0, statistics: training ? undefined : statistics };
  const bounds = boundsOf({
    dtype: 'float64',
    extent,
    x,
    dy,
    normalization: { gamma, beta, epsilon: 0, ...statistics },
    throughStatistics: training,
    accumulation: accumulationOf(backend, 'float64'),
  });
  const { dx, dgamma, dbeta } = oracle.backward(input, dy);
  const expected = { y: oracle.forward(input), dx, dgamma, dbeta };

  const options = { backend, numFeatures: extent.channels, dtype: 'float64', epsilon: 0 } as const;
  const layer = new BatchNorm({ ...options, trackRunningStatistics: !training });
  layer.gamma = scaled(gamma, toGamma);
  if (!training) {
    layer.runningMean = scaled(statistics.mean, toX);
    layer.runningVariance = scaled(statistics.variance, 2 * toX);
  }
  const memory = activationMemory(kind, backend);
  const checks: Check[] = [];
  const check = (name: keyof typeof expected, values: FloatArray, exponent: number, of: readonly number[]) =>
    checks.push({
      what: `${kind === 'host' ? '' : `${kind} `}[${shape}] ${training ? 'training' : 'inference'} ${name}`,
      ...compare(
        { shape: of, data: scaled(values, -exponent) },
        { shape: of, dtype: 'float64', data: expected[name], ...bounds[name] },
      ),
    });
  /** On a device no call waits for statistics: a result of NaN takes the place of the refusal. */
  const isNaNOnDevice = ({ message }: Check) => kind === 'device' && message.includes('received NaN');
  /** What the call that is under way may write to, and what is there before. */
  let given: { readonly name: string; readonly result: Activation | Vector; readonly before: FloatArray }[] = [];
  const giving = async <T extends Record<string, Activation | Vector | undefined>>(buffers: T): Promise<T> => {
    given = [];
    for (const [name, result] of Object.entries(buffers)) {
      if (result) given.push({ name, result, before: await memory.read(result) });
    }
    return buffers;
  };
  const buffer = () => memory.put(new Float64Array(length).fill(7), shape);
  try {
    const { out } = await giving({ out: await buffer() });
    const putX = await memory.put(scaled(x, toX), shape);
    const y = await layer.forward(putX as never, { training, out: out as never });
    check('y', await memory.read(y), toGamma, shape);
    const vector = () => memory.vector(extent.channels);
    const putDy = await memory.put(scaled(dy, toDy), shape);
    const into = await giving({ dx: await buffer(), ...(memory.onHost && { dgamma: vector(), dbeta: vector() }) });
    const { dx, dgamma, dbeta } = await layer.backward(putDy as never, { out: into as never });
    check('dx', await memory.read(dx), toGamma - toX + toDy, shape);
    check('dgamma', await memory.read(dgamma), toDy, [extent.channels]);
    check('dbeta', await memory.read(dbeta), toDy, [extent.channels]);
  } catch (error) {
    const isRefusal = error instanceof BatchNormError && error.code === 'NON_FINITE_STATISTICS';
    if (!isRefusal || !mayRefuse || checks.some(({ passed }) => !passed)) throw error;
    for (const { name, result, before } of given) {
      checks.push(identical(`${name} of a call that is refused`, await memory.read(result), before));
    }
    const written = checks.filter(({ passed }) => !passed);
    return written.length > 0 ? written : 'refused';
  } finally {
    memory.dispose();
    await layer.dispose();
  }
  const failed = checks.filter(({ passed }) => !passed);
  return mayRefuse && failed.length > 0 && failed.every(isNaNOnDevice) ? 'refused' : checks;
}

/** Times 2^exponent, in two steps: one factor may be beyond float64. */
function scaled(values: FloatArray, exponent: number): Float64Array {
  const half = Math.trunc(exponent / 2);
  return Float64Array.from(values, (value) => value * 2 ** half * 2 ** (exponent - half));
}
