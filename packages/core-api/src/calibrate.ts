// Running statistics recomputed from any number of batches, exactly: "precise" batch norm.
import type { AnyActivation } from './activation.js';
import type { BatchNorm } from './batch-norm.js';
import {
  type CalibrationCheckpoint,
  noBatches,
  readCheckpoint,
  totalOf,
  valuesOf,
  withBatch,
  writeCheckpoint,
} from './calibration.js';
import { describe } from './describe.js';
import { refuse } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';
import type { Moments } from './moments.js';
import { assertOptionNames, assertOptions, type OptionCheck } from './option-checks.js';
import { assertTracking } from './running-statistics.js';
import { readUntrusted } from './untrusted.js';

/** Batches of a layer, of any sizes. */
export type Batches = Iterable<AnyActivation> | AsyncIterable<AnyActivation>;

/** How a calibration tells of its progress, ends early, and goes on from a checkpoint. */
export interface CalibrationOptions {
  /** Called, and awaited, after each batch. What it throws ends the calibration. */
  readonly onProgress?: (progress: CalibrationProgress) => MaybePromise<void>;
  /** Heard before and after each batch: the promise rejects with its reason. A source that waits should hear it too. */
  readonly signal?: AbortSignal;
  /** Where an earlier calibration was: `batches` then are those that come after its `checkpoint.batches`. */
  readonly checkpoint?: CalibrationCheckpoint;
}

/** How far a calibration was after a batch. */
export interface CalibrationProgress {
  /** How many batches there were, those before a checkpoint among them. */
  readonly batches: number;
  /** How many values each channel had in them together. */
  readonly valuesPerChannel: number;
  /** To continue from here, now or later: plain JSON. */
  checkpoint(): CalibrationCheckpoint;
}

/**
 * Makes the running mean and variance of a layer those of all values of all batches, as if they had been one batch,
 * whatever the momentum: "precise BN" (Wu and Johnson, 2021, https://arxiv.org/abs/2105.07576), and what
 * `torch.optim.swa_utils.update_bn` is for, which weighs batches equally. Batches are taken one by one and not kept:
 * one may be reused or disposed when the next is asked for. docs/numerics.md derives the error. Returns the moments of
 * all.
 *
 * The running statistics change at the end, when nothing can fail any more. Other calls of the layer may come in
 * between. Whatever ends a calibration also ends the iteration: the `return` of the iterator is called.
 *
 * Errors: those of `BatchNorm.moments` for a batch, and of `BatchNorm.loadMoments` for all, such as `EMPTY_BATCH` where
 * there is no batch; `INVALID_OPTION`; `INVALID_STATE` for a checkpoint that is none, or of another number of channels;
 * the reason of `signal`; whatever `batches` or `onProgress` throw.
 */
export async function calibrate(
  layer: BatchNorm,
  batches: Batches,
  options: CalibrationOptions = {},
): Promise<Moments> {
  const { onProgress, signal, checkpoint } = checked(layer, batches, options);
  assertTracking(layer.options);
  const C = layer.options.numFeatures;
  let calibration = checkpoint === undefined ? noBatches : readCheckpoint(checkpoint, C);
  signal?.throwIfAborted();
  let latestTurn = performance.now();
  for await (const batch of batches) {
    signal?.throwIfAborted();
    calibration = withBatch(calibration, await layer.moments(batch));
    const reached = calibration;
    await onProgress?.({
      batches: reached.batches,
      valuesPerChannel: valuesOf(reached),
      checkpoint: () => writeCheckpoint(reached),
    });
    if (performance.now() - latestTurn > longestTurn) {
      await new Promise((resolve) => setTimeout(resolve));
      latestTurn = performance.now();
    }
    signal?.throwIfAborted();
  }
  signal?.throwIfAborted();
  const moments = totalOf(calibration, C);
  await layer.loadMoments(moments, { batchesTracked: calibration.batchesTracked });
  return moments;
}

/** Milliseconds until timers and events get their turn, which a source that never waits would not let them have. */
const longestTurn = 16;

const isAbsentOr =
  (isValid: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || isValid(value);

const has = (value: unknown, method: PropertyKey): boolean => typeof Object(value)[method] === 'function';

const checks: Readonly<Record<Exclude<keyof CalibrationOptions, 'checkpoint'>, OptionCheck>> = {
  onProgress: [isAbsentOr((value) => typeof value === 'function'), 'a function'],
  signal: [isAbsentOr((value) => has(value, 'throwIfAborted')), 'an AbortSignal'],
};

/** The options, read once. Errors: `INVALID_OPTION`. */
function checked(layer: unknown, batches: unknown, options: CalibrationOptions): CalibrationOptions {
  return readUntrusted('INVALID_OPTION', 'arguments', () => {
    if (!has(layer, 'loadMoments')) refuse('INVALID_OPTION', `layer ${describe(layer)}`, 'a BatchNorm');
    if (!has(batches, Symbol.asyncIterator) && !has(batches, Symbol.iterator)) {
      refuse('INVALID_OPTION', `batches ${describe(batches)}`, 'an iterable of tensors, or an async one');
    }
    assertOptionNames(options, [...Object.keys(checks), 'checkpoint']);
    const given = { ...options };
    assertOptions({ onProgress: undefined, signal: undefined, ...given }, checks);
    return given;
  });
}
