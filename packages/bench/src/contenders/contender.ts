// What takes part: an implementation that enters with one workload, and does its operations on it again and again.
import type { Execution, MaybePromise } from '@batchnorm/core-api';
import type { DataPath, Operation, Platform } from '../cases/case.js';
import type { Results, Workload } from '../cases/workload.js';
import type { Instantiation } from './instantiation.js';

/** `backend`: kernels as the layer calls them. `layer`: through `BatchNorm`. The others are what these are compared with. */
export type Kind = 'backend' | 'layer' | 'straightforward' | 'peer';

export interface Contender {
  readonly name: string;
  readonly kind: Kind;
  /** Where it is defined; one without the other is a skip. */
  readonly platforms: readonly Platform[];
  /** Gets ready for one workload. Errors: `BatchNormError`s and `Unavailable` where it can't. */
  enter(workload: Workload): Promise<Entrant>;
}

/** Why a contender does not take part: no failure. */
export class Unavailable extends Error {}

/** What a contender says of itself. */
export interface Description {
  /** Of a peer's library; this repository's packages have the version of their package.json. */
  readonly version?: string | undefined;
  readonly engine: string;
  readonly threads: number;
  /** How it says it adds up, or undefined. */
  readonly accumulation: Execution['accumulation'] | undefined;
  /** Of its WebAssembly, if it has any. */
  readonly instantiation?: Instantiation | undefined;
  /** Seconds that making it took. */
  readonly creation: number;
  /** Seconds that getting ready for this workload took: compiling kernels. */
  readonly preparation: number;
}

/** A contender with one workload. */
export interface Entrant {
  readonly description: Description;
  readonly calls: readonly TimedCall[];
  dispose(): MaybePromise<void>;
}

/** One operation, ready to be done again and again. */
export interface TimedCall {
  readonly operation: Operation;
  readonly memory: DataPath;
  /** What must have happened once: the forward of a backward. */
  before?(): MaybePromise<void>;
  /** Over when it returns, or when its promise resolves. Writes where it wrote before, if the library lets it. */
  run(): MaybePromise<void>;
  /** What the latest run computed, on the host. */
  results(): MaybePromise<Results>;
}
