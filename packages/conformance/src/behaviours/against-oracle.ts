// Steps of a layer against those of the oracle: what the layer gave, in either kind of memory, and then what the oracle
// says of that.
import type { BatchNorm, FloatArray, Mask, Nonlinearity } from '@batchnorm/core-api';
import { accumulationOf } from '../arithmetic.js';
import { type Check, compare, identical, outcome } from '../compare.js';
import { judgedOnce } from '../known-verdicts.js';
import { type Expectation, LayerModel } from '../programs/layer-model.js';
import type { Results, Scene } from './scene.js';

/** What a step is tried with: options of its layer, and what a forward gets. */
export interface Trial {
  readonly epsilon?: number;
  readonly activation?: Nonlinearity;
  readonly runningVariance?: 'population' | 'sample';
  /** Default: the first batch of the scene. */
  readonly x?: FloatArray;
  readonly mask?: Mask;
  readonly residual?: FloatArray;
}

/** What a forward and its backward get. */
interface Inputs {
  readonly x: FloatArray;
  readonly dy: FloatArray;
  readonly mask: Mask | undefined;
  readonly residual: FloatArray | undefined;
}

/** What a layer gave in a step of each mode, and had averaged then. */
interface Received {
  readonly training: Results;
  readonly inference: Results;
  readonly runningMean: Float64Array;
  readonly runningVariance: Float64Array;
}

/** Training, inference and their gradients, against the oracle. */
export async function againstOracle(scene: Scene, trial: Trial = {}): Promise<Check[]> {
  const { backend, dtype, shape } = scene;
  const { mask, residual, x = scene.batch(1).x, ...own } = trial;
  const inputs: Inputs = { x, dy: scene.batch(1).dy, mask, residual };
  const options = { ...{ numFeatures: shape[1]!, dtype, epsilon: 1e-3, momentum: 0.5 }, ...own };
  const layer = scene.layer(options);
  // ReLU must follow the sign of gamma.
  if (own.activation === 'relu') layer.gamma = layer.gamma.map((gamma, c) => (c % 2 === 0 ? gamma : -gamma));
  const model = new LayerModel(options, backend);
  model.gamma.set(layer.gamma);
  model.beta.set(layer.beta);

  const training = await step(scene, layer, inputs, true);
  const inference = await step(scene, layer, inputs, false);
  const overX = await yOverX(scene, layer, inputs);
  const { runningMean, runningVariance } = layer;
  const received = { training: training.results, inference: inference.results, runningMean, runningVariance };
  const verdict = await judgedOnce(
    { options, shape, maskShape: mask?.shape, accumulation: accumulationOf(backend, dtype) },
    [
      ...[model.gamma, model.beta, x, inputs.dy, mask?.data, residual, runningMean, runningVariance],
      ...[training, inference].flatMap(({ results: { y, dx, dgamma, dbeta, dresidual } }) => [
        ...[y, dx, dgamma, dbeta, dresidual],
      ]),
    ],
    () => judge(model, shape, inputs, received),
  );
  return [
    ...[...verdict.training, ...training.again],
    ...[...verdict.inference, ...inference.again],
    ...[overX, ...verdict.running],
  ];
}

/** What a forward and its backward gave; and that they give it again, over dy. */
async function step(
  scene: Scene,
  layer: BatchNorm,
  { x, dy, mask, residual }: Inputs,
  training: boolean,
): Promise<{ readonly results: Results; readonly again: readonly Check[] }> {
  const mode = training ? 'training' : 'inference';
  const results = await scene.step(layer, { x, dy }, { training, mask, residual });
  const over = await scene.put(dy);
  const { dx, dresidual } = await scene.backward(layer, over, { dx: over });
  const again = [identical(`${mode}: dx over dy`, await scene.memory.read(dx), results.dx)];
  if (results.dresidual) {
    const beside = dresidual ? await scene.memory.read(dresidual) : [];
    again.push(identical(`${mode}: dresidual beside dx over dy`, beside, results.dresidual));
  }
  return { results, again };
}

async function yOverX(scene: Scene, layer: BatchNorm, { x, residual }: Inputs): Promise<Check> {
  const over = await scene.put(x);
  const added = residual && (await scene.put(residual));
  const want = await scene.y(layer, x, { training: false, residual });
  await scene.forward(layer, over, { training: false, out: over, residual: added });
  return identical('y over x', await scene.memory.read(over), want);
}

/** What the oracle says. `model` is of a layer that has done nothing yet. */
function judge(model: LayerModel, shape: readonly number[], { x, dy, mask, residual }: Inputs, received: Received) {
  const { dtype, activation } = model.options;
  const channels = [shape[1]!];
  const within = (
    what: string,
    data: FloatArray,
    { values, ...bound }: Expectation,
    of: readonly number[] = channels,
  ) => {
    const expected = { data: values, shape: of, dtype: of === shape ? dtype : 'float64', ...bound } as const;
    return { what, ...compare({ data, shape: of }, expected) };
  };
  const ofStep = (mode: 'training' | 'inference'): readonly Check[] => {
    const how = { training: mode === 'training', track: true, memory: 'host', mask, residual } as const;
    const expectedY = model.forward(x, shape, how) as Expectation;
    const { y, dx, dgamma, dbeta, dresidual } = received[mode];
    const expected = model.backward(dy, y);
    return [
      within(`${mode} y`, y, expectedY, shape),
      within(`${mode} dx`, dx, expected.dx, shape),
      within(`${mode} dgamma`, dgamma, expected.dgamma),
      within(`${mode} dbeta`, dbeta, expected.dbeta),
      ...(activation === 'relu' ? [isRectified(`${mode} y`, y)] : []),
      ...(expected.dresidual
        ? [identical(`${mode} dresidual`, dresidual ?? [], rounded(expected.dresidual.values, dy))]
        : []),
    ];
  };
  const [training, inference] = [ofStep('training'), ofStep('inference')];
  const { runningMean, runningVariance } = model.statistics();
  const running: readonly Check[] = [
    within('runningMean', received.runningMean, runningMean),
    within('runningVariance', received.runningVariance, runningVariance),
  ];
  return { training, inference, running };
}

/** A check that every element is +0, positive or NaN, as behind 'relu'. */
export function isRectified(what: string, y: FloatArray): Check {
  const wrong = y.findIndex((value) => value < 0 || Object.is(value, -0));
  const received = Object.is(y[wrong], -0) ? '-0' : y[wrong];
  return outcome(what, wrong < 0, `[${wrong}]: received ${received}, expected 0 or more behind 'relu'`);
}

/** Values as numbers of the dtype that `like` has. */
function rounded(values: ArrayLike<number>, like: FloatArray): FloatArray {
  return like.BYTES_PER_ELEMENT === 8 ? new Float64Array(values) : new Float32Array(values);
}
