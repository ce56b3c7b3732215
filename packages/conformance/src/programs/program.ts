// A program: a random sequence of calls of some layers on one backend. It is plain data: one that fails can be shrunk,
// printed and pasted into a test.
import type { LayerOptions, Momentum } from '@batchnorm/core-api';
import type { MemoryKind } from '../conformance-case.js';
import type { MaskKind } from '../masks.js';

/** A sequence of calls of some layers, as plain data: `steps` are made in their order. */
export interface Program {
  readonly layers: readonly LayerSpec[];
  readonly steps: readonly Step[];
}

export interface LayerSpec {
  readonly options: LayerOptions;
  /** The shapes of its batches, with `numFeatures` channels on its axis. */
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

/** Where an input comes from: a new array, or one that was an input before and is overwritten. */
export type Source = 'new' | 'rewritten';

/**
 * `layer` is an index modulo the number of layers. A step that is not `awaited` overlaps those after it, until a step
 * of its layer is awaited. An impossible step, such as a backward without a forward, must be refused with its code.
 */
export type Step = { readonly layer: number; readonly awaited: boolean } & (
  | {
      readonly does: 'forward';
      /** The layer's latest forward, or a pass, of which any number may be alive. */
      readonly as: 'latest' | 'pass';
      /** Whether by the call that returns at once, if the backend has it and there is one for it. Default false. */
      readonly atOnce?: boolean;
      readonly memory: MemoryKind;
      /** The index of a shape of its layer, modulo their number. */
      readonly shape: number;
      readonly x: Draw;
      readonly from: Source;
      readonly training: boolean;
      readonly track: boolean;
      readonly y: Target;
      /** Default: every position counts. */
      readonly mask?: { readonly seed: number; readonly kind: MaskKind } | undefined;
      /** What is added: an activation of its own, or x itself. Default: nothing. */
      readonly residual?: Draw | 'x' | undefined;
    }
  | {
      readonly does: 'backward';
      /** Of the latest forward, or of one of the passes, modulo those that are alive. */
      readonly of: 'latest' | number;
      /** As for a forward, of the latest. */
      readonly atOnce?: boolean;
      readonly dy: Draw;
      readonly from: Source;
      readonly dx: Target;
      /** Where there is one. Default: 'new'. */
      readonly dresidual?: Exclude<Target, 'input'>;
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

/** Which parameters change: all, those of one channel, or gamma or both to ones or zeros. */
export type Change = 'all' | 'one channel' | 'to ones' | 'to ones and zeros' | 'to zeros';

/** By writing into the layer's arrays, or by assigning new ones. */
export type Means = 'writing' | 'assignment';

/** Calls that must be refused, and change nothing. */
export type Failure =
  | 'wrong channels'
  | 'wrong dtype'
  | 'no values'
  | 'dy of another shape'
  | 'bad state'
  | 'wrong mask'
  | 'wrong residual';
