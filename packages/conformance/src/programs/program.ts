// A random program: what some layers on one backend are told, in order. Plain data, so that one that fails can be
// shrunk, printed and pasted into a test.
import type { LayerOptions, Momentum } from '@batchnorm/core-api';
import type { MemoryKind } from '../conformance-case.js';

export interface Program {
  readonly layers: readonly LayerSpec[];
  readonly steps: readonly Step[];
}

export interface LayerSpec {
  readonly options: LayerOptions;
  /** Of the batches that it sees, with `numFeatures` channels on its axis. */
  readonly shapes: readonly (readonly number[])[];
}

/** What is drawn for an activation: see values.ts. */
export interface Draw {
  readonly seed: number;
  readonly kind: 'usual' | 'far from zero' | 'mixed' | 'rows of zeros' | 'one value' | 'NaN in a channel';
}

/**
 * Where a result goes: a new array, an array of the caller's, one that received a result before, or the input itself.
 */
export type Target = 'new' | 'given' | 'used' | 'input';

/** Where an input comes from: an array of its own, or one that was an input before and is written anew. */
export type Source = 'new' | 'rewritten';

/**
 * `layer` counts modulo the layers. A step that is not `awaited` overlaps those after it, until one of its layer is
 * awaited. A step that is impossible, such as a backward without a forward, must be refused with its code.
 */
export type Step = { readonly layer: number; readonly awaited: boolean } & (
  | {
      readonly does: 'forward';
      /** The layer's own, or a pass, of which any number are alive. */
      readonly as: 'latest' | 'pass';
      readonly memory: MemoryKind;
      /** Of its layer's, modulo. */
      readonly shape: number;
      readonly x: Draw;
      readonly from: Source;
      readonly training: boolean;
      readonly track: boolean;
      readonly y: Target;
    }
  | {
      readonly does: 'backward';
      /** Of the latest forward, or of one of the passes, modulo those that are alive. */
      readonly of: 'latest' | number;
      readonly dy: Draw;
      readonly from: Source;
      readonly dx: Target;
      readonly dgamma: 'new' | 'given';
      readonly dbeta: 'new' | 'given';
    }
  | { readonly does: 'release'; readonly pass: number }
  | { readonly does: 'state' | 'dispose' | 'resetRunningStatistics' }
  | { readonly does: 'setMomentum'; readonly momentum: Exclude<Momentum, 'exact'> }
  | { readonly does: 'loadState'; readonly seed: number; readonly changes: 'all' | 'variance' }
  | { readonly does: 'setParameters'; readonly seed: number; readonly changes: Change; readonly by: Means }
  | { readonly does: 'fail'; readonly how: Failure; readonly memory: MemoryKind }
);

/** Which parameters are others afterwards: all of them, those of one channel, or gamma or both to be ones or zeros. */
export type Change = 'all' | 'one channel' | 'to ones' | 'to ones and zeros' | 'to zeros';

/** Into the arrays that the layer has, or of others to it. */
export type Means = 'writing' | 'assignment';

/** Calls that must be refused, and change nothing. */
export type Failure = 'wrong channels' | 'wrong dtype' | 'no values' | 'dy of another shape' | 'bad state';
