// What takes part: an implementation that enters with one workload, and does its operations on it again and again.
import type { Execution, MaybePromise } from '@batchnorm/core-api';
import type { DataPath, Operation, Platform } from '../cases/case.js';
import type { Results, Workload } from '../cases/workload.js';
import type { Instantiation } from './instantiation.js';

/**
 * `backend`: kernels as the layer calls them. `layer`: through `BatchNorm`. The others are what these are compared
 * with.
 */
export type Kind = 'backend' | 'layer' | 'straightforward' | 'peer';

export interface Contender {
  readonly name: string;
  readonly kind: Kind;
  /** Where it can run; elsewhere it is skipped. */
  readonly platforms: readonly Platform[];
  /** Gets ready for one workload. Errors: `BatchNormError`s and `Unavailable` where it can't. */
  enter(workload: Workload): Promise<Entrant>;
}

/** Why a contender does not take part: no failure. */
export class Unavailable extends Error {}

/** What a contender says of itself. */
export interface Description {
  /**
   * The version of a peer's library; undefined for packages of this repository, which have it in their package.json.
   */
  readonly version?: string | undefined;
  readonly engine: string;
  readonly threads: number;
  /** In which arithmetic it says that it adds up; undefined where it does not say. */
  readonly accumulation: Execution['accumulation'] | undefined;
  /** What instantiating its WebAssembly took, if it has any. */
  readonly instantiation?: Instantiation | undefined;
  /** Seconds that making it took. */
  readonly creation: number;
  /** Seconds that getting ready for this workload took: compiling kernels. */
  readonly preparation: number;
}

/** A contender that is ready for one workload. */
export interface Entrant {
  readonly description: Description;
  readonly calls: readonly TimedCall[];
  dispose(): MaybePromise<void>;
}

/** One operation, ready to be done again and again. */
export interface TimedCall {
  readonly operation: Operation;
  readonly memory: DataPath;
  /** Is called once before the first `run`: a backward needs its forward. */
  before?(): MaybePromise<void>;
  /**
   * Ends when it returns, or when its promise resolves. Writes into the same buffers every time, where the library can.
   */
  run(): MaybePromise<void>;
  /** What the latest run computed, on the host. */
  results(): MaybePromise<Results>;
}
