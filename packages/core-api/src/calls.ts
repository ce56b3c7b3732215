// What users hand to a forward or backward and what they get, and how it is read: once, when the call is made.
import type { Activation, AnyActivation } from './activation.js';
import type { DeviceTensor } from './backend.js';
import { copyOfMask, type Mask } from './mask.js';
import { assertBoolean, assertOption, assertOptionNames, oneOf } from './option-checks.js';
import type { Momentum } from './options.js';
import type { LoadStateOptions } from './state-options.js';
import type { OnDevice, Tensor } from './tensor.js';
import { readUntrusted } from './untrusted.js';

/** What a forward may be told. */
export interface ForwardOptions<T extends AnyActivation = Tensor> {
  /** Batch statistics and an update of the running ones (true), or running statistics (false). Default true. */
  readonly training?: boolean;
  /** Whether a training forward updates the running statistics. `false`: they stay as they are. Default true. */
  readonly track?: boolean;
  /**
   * Receives y, and is returned: a tensor of x's shape. In inference it may be x itself; then nothing is left for a
   * backward, which fails with `FORWARD_REQUIRED`.
   */
  readonly out?: T;
  /** Which positions count in the batch statistics, at least one. All are normalised. Default: all count. */
  readonly mask?: Mask;
  /**
   * A tensor of x's shape that is added to what was normalised, before the layer's `activation`. Lent as x is where that
   * is not 'none'.
   */
  readonly residual?: T;
}

/** The same on the host without `out`, so that y is a new tensor. */
export interface NewForwardOptions extends Omit<ForwardOptions, 'out'> {
  readonly out?: never;
}

/** Gradients with respect to the input and the parameters. */
export interface Gradients<T extends AnyActivation = Tensor> {
  /** Of x's shape. */
  readonly dx: T;
  /** Of x's shape: the gradient of the residual, which is dy behind the `activation`. Absent without a residual. */
  readonly dresidual?: T;
  /** [C]; empty without gamma. */
  readonly dgamma: GradientVector<T>;
  /** [C]; empty without beta. */
  readonly dbeta: GradientVector<T>;
}

/** On the host with host tensors; with device tensors on the device, until somebody reads it. */
export type GradientVector<T> = T extends DeviceTensor ? OnDevice<Float64Array> : Float64Array;

/** What a backward may be told. */
export interface BackwardOptions<T extends AnyActivation = Tensor> {
  /** Buffers that receive the gradients, such as those of the step before. `dx` may be dy itself. */
  readonly out?: Partial<Gradients<T>>;
}

/** The same on the host without buffers for activations, so that dx and dresidual are new tensors. */
export interface NewBackwardOptions {
  readonly out?: Partial<Omit<Gradients, 'dx' | 'dresidual'>> & { readonly dx?: never; readonly dresidual?: never };
}

/** One forward, with everything as it was when it was called. */
export interface ForwardRequest {
  readonly x: Activation;
  readonly training: boolean;
  readonly track: boolean;
  readonly out: Activation | undefined;
  readonly mask: Mask | undefined;
  readonly residual: Activation | undefined;
  readonly momentum: Momentum;
  /** Whether somebody may ask for the statistics that normalised x. */
  readonly keepStatistics: boolean;
}

/** Errors: `INVALID_OPTION`. */
export function forwardRequest(
  x: Activation,
  options: ForwardOptions<Activation>,
  momentum: Momentum,
  keepStatistics: boolean,
): ForwardRequest {
  return readUntrusted('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['training', 'track', 'out', 'mask', 'residual']);
    const { training = true, track = true, out, mask, residual } = options;
    assertBoolean('training', training);
    assertBoolean('track', track);
    return { x, training, track, out, mask: copyOfMask(mask), residual, momentum, keepStatistics };
  });
}

/** The buffers that a backward was given, as they were when it was called. Errors: `INVALID_OPTION`. */
export function backwardOutputs(options: BackwardOptions<never>): Partial<Gradients> {
  return readUntrusted('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['out']);
    const { out = {} } = options;
    assertOptionNames(out, ['dx', 'dresidual', 'dgamma', 'dbeta']);
    return { ...out };
  });
}

/** What `moments` of a layer may be told. */
export interface MomentsOptions {
  /** Which positions count, at least one. Default: all. */
  readonly mask?: Mask;
}

/** The mask of moments. Errors: `INVALID_OPTION`. */
export function maskOf(options: MomentsOptions): Mask | undefined {
  return readUntrusted('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['mask']);
    return copyOfMask(options.mask);
  });
}

/** What `loadMoments` of a layer may be told. */
export interface LoadMomentsOptions {
  /** How many batches the values came in: a whole number from 1 to their count. Default 1. */
  readonly batchesTracked?: number;
}

/** How many batches moments of `count` values are to count as. Errors: `INVALID_OPTION`. */
export function batchesTrackedOf(options: LoadMomentsOptions, count: number): number {
  return readUntrusted('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['batchesTracked']);
    const { batchesTracked = 1 } = options;
    const isPossible = (value: unknown) =>
      Number.isSafeInteger(value) && batchesTracked >= 1 && batchesTracked <= count;
    assertOption('batchesTracked', batchesTracked, [
      isPossible,
      `a whole number from 1 to ${count}, the values there are`,
    ]);
    return batchesTracked;
  });
}

/** Whether the state of a layer that computes something else may be loaded. Errors: `INVALID_OPTION`. */
export function mayDifferOf(options: LoadStateOptions): boolean {
  return readUntrusted('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['otherOptions']);
    const { otherOptions = 'reject' } = options;
    assertOption('otherOptions', otherOptions, oneOf('reject', 'allow'));
    return otherOptions === 'allow';
  });
}
