// The contract: what a backend implements. Kernels do arithmetic on extents; options, layouts, validation and running
// statistics are the layer's.

import type { AllocatedTensor } from './allocated-tensor.js';
import type { CountedPositions } from './counted-positions.js';
import type { Extent } from './extent.js';
import type { MaybePromise } from './maybe-promise.js';
import type { Moments, Statistics } from './moments.js';
import type { Dtype, FloatArray, OnDevice, Tensor } from './tensor.js';

/** One implementation of the arithmetic. Whoever made it disposes it; layers never do. */
export interface Backend {
  readonly contractVersion: 2;
  /** Short and stable: 'js', 'wasm', 'gpujs'. */
  readonly name: string;
  readonly capabilities: Capabilities;
  readonly execution: Execution;
  /** Makes the kernels for one plan; the layer keeps them. Errors: `DISPOSED`, `LIMIT_EXCEEDED`, `DEVICE_LOST`. */
  prepare(plan: Plan): MaybePromise<Kernels>;
  /**
   * Copies a tensor to the device. Errors: `UNSUPPORTED` without `capabilities.deviceTensors`, `INVALID_TENSOR`,
   * `DTYPE_MISMATCH` for a dtype that is not among the capabilities, `DISPOSED`, `LIMIT_EXCEEDED`, `DEVICE_LOST`.
   */
  upload(tensor: Tensor): MaybePromise<DeviceTensor>;
  /**
   * A host tensor whose elements lie where this backend computes, if there is such memory on the host, and else in an
   * ordinary array (`ordinaryTensor`). They may be anything: whoever asked for it writes them. Errors: `INVALID_TENSOR`,
   * `DTYPE_MISMATCH`, `LIMIT_EXCEEDED`, `DISPOSED`.
   */
  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor;
  /** The same with a copy of a tensor's elements. Errors: those, and `INVALID_TENSOR` for what is no tensor. */
  from(tensor: Tensor): AllocatedTensor;
  /**
   * Room for a result of `x`, where x lies: as `empty`, but undefined where that is ordinary memory. Absent where
   * `empty` gives ordinary arrays. Errors: `LIMIT_EXCEEDED`, `DISPOSED`.
   */
  resultLike?(x: Tensor): AllocatedTensor | undefined;
  /**
   * Bytes of memory that JavaScript's garbage collector does not see (a device's, WebAssembly's), as tensors, kernels
   * and saved forwards take them now. Absent where there is no such memory, or it is not counted.
   */
  allocatedBytes?(): number;
  /**
   * Calls `work` once, before it returns; within it calls of this backend wait, awake, where they would have returned a
   * promise. Needed only where `capabilities.synchronous` holds and they may. What they wait for and does not come makes
   * them fail with `DEVICE_LOST`. `work` does not throw.
   */
  synchronously?(work: () => void): void;
  /** Frees everything. Again is allowed and does nothing; any other call then fails with `DISPOSED`. */
  dispose(): MaybePromise<void>;
}

/** What a backend can do. Each flag says what follows when it is off. */
export interface Capabilities {
  /** Dtypes of activations. A layer of any other is refused with `DTYPE_MISMATCH`. */
  readonly dtypes: readonly Dtype[];
  /** `upload` works and kernels have their `device` form. `false`: `upload` fails with `UNSUPPORTED`. */
  readonly deviceTensors: boolean;
  /**
   * No call returns a promise, or none within `synchronously`; reading tensors and vectors from the device and disposing
   * the backend may. Moments on the device have a `view`.
   * Absent or `false`: a layer's `sync` is refused with `UNSUPPORTED`.
   */
  readonly synchronous?: boolean;
  /** The same call gives the same bits. `false`: repeated calls agree within the tolerance only. */
  readonly deterministic: boolean;
  readonly limits: {
    /** Most elements of one activation. More is refused with `LIMIT_EXCEEDED` before anything runs. */
    readonly elements: number;
  };
}

/**
 * The arithmetic of a sum of many terms, deviations from a pivot among them.
 *
 * - `float64`: every term and every addition.
 * - `blocked-float32`: terms, and sums of blocks of at most eight as a tree, in float32; sums of blocks in float64
 *   (FABsum: Blanchard, Higham and Mary, 2020, SIAM Journal on Scientific Computing 42).
 * - `blocked-compensated-float32`: the same, and additions of the sums of blocks keep their rounding errors.
 * - `compensated-float32`: terms in float32; each addition keeps its rounding error (Kahan, Neumaier).
 * - `float32`: every term and every addition.
 */
export type Accumulation =
  | 'float64'
  | 'blocked-float32'
  | 'blocked-compensated-float32'
  | 'compensated-float32'
  | 'float32';

/** What really runs, for reports, whatever was asked for. */
export interface Execution {
  /** 'JavaScript', 'WebAssembly SIMD', 'WebGL 2', … */
  readonly engine: string;
  /** 'cpu', or the renderer's own name. */
  readonly device: string;
  readonly threads: number;
  /** How sums are accumulated, of statistics and gradients: an entry for each dtype of the capabilities, no other. */
  readonly accumulation: Readonly<Partial<Record<Dtype, Accumulation>>>;
  /** Why something else runs than was asked for; null where nothing else does. */
  readonly fallbackReason: string | null;
}

/** An activation where its backend computes: in a texture, in a GPU buffer, in WebAssembly's linear memory. */
export interface DeviceTensor extends OnDevice<FloatArray> {
  /** The backend that made it; every other refuses it with `FOREIGN_TENSOR`. */
  readonly backend: Backend;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly disposed: boolean;
}

/** What comes after the normalisation. `'relu'`: y = max(z, 0), and NaN where z is NaN. */
export type Nonlinearity = 'none' | 'relu';

/** What kernels are compiled for. */
export interface Plan {
  readonly extent: Extent;
  readonly dtype: Dtype;
  /** What comes after the normalisation; absent: nothing. */
  readonly activation?: Nonlinearity;
}

/** dgamma = Σ g · xHat and dbeta = Σ g, [C] each, where g is dy behind the nonlinearity. */
export interface GradientSums {
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/**
 * What a forward keeps for its backward. Only kernels look into it. The layer disposes it, once, after a later forward.
 */
export interface Saved {
  /** Frees it, or gives it back to its kernels for a later forward. */
  dispose(): void;
}

/**
 * Activations in typed arrays. What a stage finds out per channel is there at once, and valid until the same stage of
 * the same kernels is called again.
 */
export interface HostMemory {
  readonly activation: FloatArray;
  readonly vector: Float64Array;
  readonly moments: Moments;
  readonly sums: GradientSums;
}

/**
 * Activations on the device. No call waits until the host can read results: what is found out per channel is read when
 * it is needed. Moments that have a `view` are averaged in at once.
 */
export interface DeviceMemory {
  readonly activation: DeviceTensor;
  readonly vector: OnDevice<Float64Array>;
  readonly moments: OnDevice<Moments>;
  readonly sums: OnDevice<GradientSums>;
}

/** Either of the two. */
export type Memory = HostMemory | DeviceMemory;

/** What mean and variance are taken of. */
export interface MomentsInput<M extends Memory> {
  readonly x: M['activation'];
  /** What will be added to the variance: digits of it far below epsilon do not count. */
  readonly epsilon: number;
  /** Which values have a part in the moments, at least one; absent: all. What the others are, NaN even, does not matter. */
  readonly mask?: CountedPositions | undefined;
}

/**
 * What every forward gets. Arrays belong to the caller; only `y` is written. Vectors are read before the first
 * suspension. x, residual and mask do not change until the backward, because the saved forward may refer to them.
 */
export interface ForwardInput<M extends Memory> {
  readonly x: M['activation'];
  /** Added to what was normalised, before the nonlinearity. */
  readonly residual?: M['activation'] | undefined;
  /** [C]; ones in a layer without affine parameters. */
  readonly gamma: Float64Array;
  /** [C]; zeros in a layer without affine parameters. */
  readonly beta: Float64Array;
  readonly epsilon: number;
  /**
   * Receives y, if the caller gave a buffer. It may be `x` itself in inference of a layer, which normalises by the
   * batch in one without running statistics.
   */
  readonly y: M['activation'] | undefined;
}

/** What `normalize` gets: what every forward gets, and by which statistics. */
export interface NormalizeInput<M extends Memory> extends ForwardInput<M> {
  readonly by: Normalizer<M>;
  /**
   * Which values had a part in the moments of the batch, for the gradient; absent: all. None has where the moments are
   * those of other batches. Every value is normalised.
   */
  readonly mask?: CountedPositions | undefined;
}

/**
 * By what a forward normalises: by moments of the batch, as `moments` gave them or merged on the host with those of
 * other batches; or by statistics that were given.
 */
export type Normalizer<M extends Memory> =
  | { readonly batch: M['moments'] | Moments; readonly given?: undefined }
  | { readonly batch?: undefined; readonly given: Statistics };

/** What a forward gives. */
export interface ForwardOutput<M extends Memory> {
  /** The buffer that was given, or a new one. */
  readonly y: M['activation'];
  /** Holds x by reference, and copies of gamma and of the statistics: they may change before the backward. */
  readonly saved: Saved;
}

/** What `gradientSums` gets. */
export interface GradientSumsInput<M extends Memory> {
  readonly saved: Saved;
  readonly dy: M['activation'];
}

/**
 * What a backward writes into, if the caller gave any buffers. `dx` may be `dy` itself. There is a `dresidual` only after
 * a forward with a residual.
 */
export interface GradientBuffers<M extends Memory> {
  readonly dx: M['activation'] | undefined;
  readonly dresidual?: M['activation'] | undefined;
  readonly dgamma: M['vector'] | undefined;
  readonly dbeta: M['vector'] | undefined;
}

/** What `inputGradient` gets. */
export interface InputGradientInput<M extends Memory> extends GradientBuffers<M> {
  readonly saved: Saved;
  readonly dy: M['activation'];
  /** Those of this dy, which become dgamma and dbeta. Undefined: nobody reads these, and they may hold anything. */
  readonly sums: M['sums'] | undefined;
  /**
   * Those of everything that the forward normalised by, which are `sums` itself unless other batches have a part in
   * them. Null: the statistics were given, and are constants.
   */
  readonly total: M['sums'] | GradientSums | null;
}

/** What a backward gives. */
export interface BackwardOutput<M extends Memory> {
  readonly dx: M['activation'];
  /** g, after a forward with a residual; else absent. */
  readonly dresidual?: M['activation'] | undefined;
  readonly dgamma: M['vector'];
  readonly dbeta: M['vector'];
}

/**
 * What kernels compute, over one kind of memory. Inputs have been validated. With xHat = (x − mean) · invStd and
 * invStd = 1/√(variance + epsilon), z = gamma · xHat + beta + residual. Where variance and epsilon are both 0 (a
 * constant channel), invStd is 0 and z is beta + residual. Without a nonlinearity y is z and g, the gradient of z, is
 * dy. With 'relu' y is 0 where z ≤ 0, and so is g; elsewhere, also where z is NaN, y is z and g is dy, as in PyTorch. A
 * backward decides by the z of its forward. A call that fails has written to none of its outputs.
 *
 * Finite inputs give finite results, or are refused: where an intermediate result is beyond the backend's arithmetic,
 * the call fails with `NON_FINITE_STATISTICS`, whether or not running statistics are to take in the batch. On the
 * device, where no call waits for results, y is NaN in every element of that channel, and so will be dx and dgamma; its
 * moments are not finite, or fail when they are read.
 */
export interface Stages<M extends Memory> {
  /** The moments of the values of x that count: how many a channel has, their mean, and Σ (x − mean)². */
  moments(input: MomentsInput<M>): MaybePromise<M['moments']>;
  /** y, and what its backward needs. */
  normalize(input: NormalizeInput<M>): MaybePromise<ForwardOutput<M>>;
  /** Σ g · xHat and Σ g, of all values: each y depends on gamma and beta. */
  gradientSums(input: GradientSumsInput<M>): MaybePromise<M['sums']>;
  /**
   * dx = gamma · invStd · (g − Σ g / M − xHat · Σ g · xHat / M) with the sums of `total`, and M values that the forward
   * normalised by; for values that did not count, and without `total`, dx = gamma · invStd · g. And dresidual = g.
   */
  inputGradient(input: InputGradientInput<M>): MaybePromise<BackwardOutput<M>>;
  /**
   * Operations of which the backend has a faster form than stages one after the other. They give what those would, and
   * are used where nothing stands between them.
   */
  readonly fused?: Partial<Omit<Operations<M>, 'moments'>>;
}

/** What a forward by batch statistics gets. */
export interface ForwardTrainingInput<M extends Memory> extends ForwardInput<M> {
  /**
   * With host memory: when a batch mean or variance is not finite, fail with `NON_FINITE_STATISTICS` (see
   * `assertFiniteMoments`) before `y` is written. Moments on the device are checked when they are read.
   */
  readonly requireFinite: boolean;
  /** Which values have a part in the statistics; absent: all. */
  readonly mask?: CountedPositions | undefined;
}

/** What a forward by given statistics gets. */
export interface ForwardInferenceInput<M extends Memory> extends ForwardInput<M>, Statistics {}

/** What a forward by batch statistics gives. */
export interface ForwardTrainingOutput<M extends Memory> extends ForwardOutput<M> {
  readonly moments: M['moments'];
}

/** What a backward gets. */
export interface BackwardInput<M extends Memory> extends GradientBuffers<M> {
  readonly saved: Saved;
  readonly dy: M['activation'];
  /**
   * Whether dgamma or dbeta is asked for. `false`: only what dx needs must be computed, which is nothing with constant
   * statistics, and dgamma and dbeta may hold anything.
   */
  readonly parameterGradients: boolean;
}

/** What layers call: sequences of stages (see `operationsOf`), or the backend's fused form of one. */
export interface Operations<M extends Memory> {
  /** The moments of a batch, and nothing else. */
  moments(input: MomentsInput<M>): MaybePromise<M['moments']>;
  /** Normalises with the statistics of this batch. */
  forwardTraining(input: ForwardTrainingInput<M>): MaybePromise<ForwardTrainingOutput<M>>;
  /** Normalises with the given statistics. */
  forwardInference(input: ForwardInferenceInput<M>): MaybePromise<ForwardOutput<M>>;
  /** The gradient through the batch statistics. */
  backwardTraining(input: BackwardInput<M>): MaybePromise<BackwardOutput<M>>;
  /** The gradient with constant statistics. */
  backwardInference(input: BackwardInput<M>): MaybePromise<BackwardOutput<M>>;
}

/** The stages for one plan, used by one layer. */
export interface Kernels extends Stages<HostMemory> {
  /** The same on device tensors; absent without `capabilities.deviceTensors`. */
  readonly device?: Stages<DeviceMemory>;
  /** Frees what `prepare` made. A layer calls it once, when every saved forward of these kernels has been disposed. */
  dispose(): void;
}
