// The contract: what a backend implements. Kernels do arithmetic on extents; options, layouts, validation and running
// statistics are the layer's.
import type { Extent } from './extent.js';
import type { MaybePromise } from './maybe-promise.js';
import type { Dtype, FloatArray, OnDevice, Tensor } from './tensor.js';

/** One implementation of the arithmetic. Whoever made it disposes it; layers never do. */
export interface Backend {
  readonly contractVersion: 1;
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
   * Bytes of memory that JavaScript's garbage collector does not see (a device's, WebAssembly's), as tensors, kernels
   * and saved forwards take them now. Absent where there is no such memory, or it is not counted.
   */
  allocatedBytes?(): number;
  /** Frees everything. Again is allowed and does nothing; any other call then fails with `DISPOSED`. */
  dispose(): MaybePromise<void>;
}

/** What a backend can do. Each flag says what follows when it is off. */
export interface Capabilities {
  /** Dtypes of activations. A layer of any other is refused with `DTYPE_MISMATCH`. */
  readonly dtypes: readonly Dtype[];
  /** `upload` works and kernels have their `device` form. `false`: `upload` fails with `UNSUPPORTED`. */
  readonly deviceTensors: boolean;
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
 * - `compensated-float32`: terms in float32; each addition keeps its rounding error (Kahan, Neumaier).
 * - `float32`: every term and every addition.
 */
export type Accumulation = 'float64' | 'blocked-float32' | 'compensated-float32' | 'float32';

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

/** What kernels are compiled for. */
export interface Plan {
  readonly extent: Extent;
  readonly dtype: Dtype;
}

/** Batch mean and population variance, [C] each. */
export interface Statistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/**
 * What a forward keeps for its backward. Only kernels look into it. The layer disposes it, once, after a later forward.
 */
export interface Saved {
  dispose(): void;
}

/** Activations in typed arrays. Statistics are there at once, and valid until the next call of the same kernels. */
export interface HostMemory {
  readonly activation: FloatArray;
  readonly vector: Float64Array;
  readonly statistics: Statistics;
}

/**
 * Activations on the device. No call waits until the host can read results: vectors and statistics are read when they
 * are needed. Statistics that have a `view` are averaged in at once.
 */
export interface DeviceMemory {
  readonly activation: DeviceTensor;
  readonly vector: OnDevice<Float64Array>;
  readonly statistics: OnDevice<Statistics>;
}

/** Either of the two. */
export type Memory = HostMemory | DeviceMemory;

/**
 * What every forward gets. Arrays belong to the caller; only `y` is written. Vectors are read before the first
 * suspension. x does not change until the backward, because the saved forward refers to it.
 */
export interface ForwardInput<M extends Memory> {
  readonly x: M['activation'];
  /** [C]; ones in a layer without affine parameters. */
  readonly gamma: Float64Array;
  /** [C]; zeros in a layer without affine parameters. */
  readonly beta: Float64Array;
  readonly epsilon: number;
  /**
   * Receives y, if the caller gave a buffer. It may be `x` itself in inference of a layer, which is a `forwardTraining`
   * in one without running statistics.
   */
  readonly y: M['activation'] | undefined;
}

export interface ForwardTrainingInput<M extends Memory> extends ForwardInput<M> {
  /**
   * With host memory: when a batch mean or variance is not finite, fail with `NON_FINITE_STATISTICS` (see
   * `assertFiniteStatistics`) before `y` is written. Device statistics are checked when they are read.
   */
  readonly requireFinite: boolean;
}

export interface ForwardInferenceInput<M extends Memory> extends ForwardInput<M>, Statistics {}

export interface ForwardOutput<M extends Memory> {
  /** The buffer that was given, or a new one. */
  readonly y: M['activation'];
  /** Holds x by reference, and copies of gamma and of the statistics: they may change before the backward. */
  readonly saved: Saved;
}

export interface ForwardTrainingOutput<M extends Memory> extends ForwardOutput<M> {
  readonly statistics: M['statistics'];
}

export interface BackwardInput<M extends Memory> {
  readonly saved: Saved;
  readonly dy: M['activation'];
  /** Buffers that receive the results, if the caller gave any. `dx` may be `dy` itself. */
  readonly dx: M['activation'] | undefined;
  readonly dgamma: M['vector'] | undefined;
  readonly dbeta: M['vector'] | undefined;
  /**
   * Whether dgamma or dbeta is asked for. `false`: only what dx needs must be computed, which is nothing with constant
   * statistics, and dgamma and dbeta may hold anything.
   */
  readonly parameterGradients: boolean;
}

export interface BackwardOutput<M extends Memory> {
  readonly dx: M['activation'];
  readonly dgamma: M['vector'];
  readonly dbeta: M['vector'];
}

/**
 * The four operations, over one kind of memory. Inputs have been validated. With xHat = (x − mean) · invStd and
 * invStd = 1/√(variance + epsilon), y = gamma · xHat + beta. Where variance and epsilon are both 0 (a constant
 * channel), invStd is 0 and y is beta. A call that fails has written to none of its outputs.
 *
 * Finite inputs give finite results, or are refused: where an intermediate result is beyond the backend's arithmetic,
 * the call fails with `NON_FINITE_STATISTICS`, whether or not running statistics are to take in the batch. On the
 * device, where no call waits for results, y is NaN in every element of that channel, and reading the statistics fails.
 */
export interface Operations<M extends Memory> {
  /** Normalises with the statistics of this batch. */
  forwardTraining(input: ForwardTrainingInput<M>): MaybePromise<ForwardTrainingOutput<M>>;
  /** Normalises with the given statistics. */
  forwardInference(input: ForwardInferenceInput<M>): MaybePromise<ForwardOutput<M>>;
  /** The gradient through the batch statistics: dx = gamma · invStd · (dy − mean(dy) − xHat · mean(dy · xHat)). */
  backwardTraining(input: BackwardInput<M>): MaybePromise<BackwardOutput<M>>;
  /** The gradient with constant statistics: dx = gamma · invStd · dy. */
  backwardInference(input: BackwardInput<M>): MaybePromise<BackwardOutput<M>>;
}

/** The operations for one plan, used by one layer. */
export interface Kernels extends Operations<HostMemory> {
  /** The same on device tensors; absent without `capabilities.deviceTensors`. */
  readonly device?: Operations<DeviceMemory>;
  /** Frees what `prepare` made. A layer calls it once, when every saved forward of these kernels has been disposed. */
  dispose(): void;
}
