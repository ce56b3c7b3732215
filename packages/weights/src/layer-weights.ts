// A batch norm wherever it comes from: the options of a layer and its state, which every translation goes through.
import {
  type BatchNormState,
  describe,
  type LayerOptions,
  layerOptionChecks,
  type Numbers,
  refuse,
  type StateOptions,
  stateOptionNames,
} from '@batchnorm/core-api';
import { vectorOf } from './vectors.js';

/** A batch norm: `new BatchNorm({ backend, ...options })`, and then `await layer.loadState(state)`. */
export interface LayerWeights {
  readonly options: StateOptions & Pick<LayerOptions, 'numFeatures'>;
  readonly state: BatchNormState;
}

/** A batch norm to translate or fold: what `layer.state()` or a translation has given. */
export type Layer = BatchNormState | Pick<LayerWeights, 'state'>;

/** What a translation has read. */
interface Read {
  readonly options: Omit<StateOptions, 'emptyBatch' | 'activation'>;
  /** Each [C]; absent where the source has none. */
  readonly gamma: readonly number[] | undefined;
  readonly beta: readonly number[] | undefined;
  readonly runningMean: readonly number[] | undefined;
  readonly runningVariance: readonly number[] | undefined;
  readonly batchesTracked: number;
}

/** Of vectors of C numbers each. Errors: `INVALID_OPTION` for an option that no layer has. */
export function layerWeights(numFeatures: number, { options: read, batchesTracked, ...vectors }: Read): LayerWeights {
  const options = { ...read, activation: 'none', emptyBatch: 'reject' } as const;
  const { gamma = [], beta = [], runningMean = [], runningVariance = [] } = vectors;
  assertLayerOptions(options, 'INVALID_OPTION');
  return {
    options: { numFeatures, ...options },
    state: { formatVersion: 2, numFeatures, options, gamma, beta, runningMean, runningVariance, batchesTracked },
  };
}

const vectorNames = ['gamma', 'beta', 'runningMean', 'runningVariance'] as const;

/** The state of `layer`, checked. Errors: `INVALID_STATE`. */
export function stateOf(layer: Layer): BatchNormState {
  const given = Object('state' in Object(layer) ? (layer as LayerWeights).state : layer);
  if (typeof given === 'function') refuse('INVALID_STATE', 'a layer', 'its state: `await layer.state()`');
  const { formatVersion, numFeatures, options, batchesTracked } = given as BatchNormState;
  if (formatVersion !== 2) {
    const received = `${describe(layer)} of formatVersion ${describe(formatVersion)}`;
    refuse('INVALID_STATE', received, 'a state of formatVersion 2, which has the options of its layer');
  }
  assertLayerOptions(Object(options), 'INVALID_STATE');
  const [isValid, expected] = layerOptionChecks.numFeatures;
  if (!isValid(numFeatures)) refuse('INVALID_STATE', `numFeatures ${describe(numFeatures)}`, expected);
  const { scale, center, trackRunningStatistics: tracks } = options;
  const has = { gamma: scale, beta: center, runningMean: tracks, runningVariance: tracks };
  const vectors = vectorNames.map((name) => {
    const values = (given as BatchNormState)[name] as Numbers;
    return [name, vectorOf(name, values, has[name] ? numFeatures : 0)] as const;
  });
  const checked = Object.fromEntries(vectors) as unknown as Pick<BatchNormState, (typeof vectorNames)[number]>;
  assertVariance('runningVariance', checked.runningVariance);
  return { formatVersion, numFeatures, options, ...checked, batchesTracked };
}

function assertLayerOptions(options: StateOptions, code: 'INVALID_OPTION' | 'INVALID_STATE'): void {
  for (const name of stateOptionNames) {
    const [isValid, expected] = layerOptionChecks[name];
    if (!isValid(options[name])) refuse(code, `${name} ${describe(options[name])}`, expected);
  }
}

/** Errors: `INVALID_STATE` for a negative variance. */
export function assertVariance(name: string, values: readonly number[] | undefined): void {
  const c = values?.findIndex((value) => value < 0) ?? -1;
  if (c >= 0) refuse('INVALID_STATE', `${name}[${c}] = ${values![c]}`, 'a variance, which is not negative');
}
