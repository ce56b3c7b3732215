// What the kit is made of: cases, each of which judges one backend in one dtype.
import type { Backend, Dtype, ErrorCode, MaybePromise } from '@batchnorm/core-api';
import type { Check } from './compare.js';

/** In the order of reports. */
export const groups = ['golden', 'exact', 'adversarial', 'behaviour', 'kernels', 'programs', 'float16'] as const;

/**
 * `golden` results of others; inputs with `exact` results; `adversarial` inputs; `behaviour` of buffers, calls and
 * errors; the contract of `kernels` by itself; random `programs`; `float16` as storage.
 */
export type Group = (typeof groups)[number];

/** Where activations lie: in arrays of any program, in tensors that the backend allocated on the host, or on its device. */
export type MemoryKind = 'host' | 'allocated' | 'device';

/** `rows`: channels-last, inner = 1. `runs`: channels-first, inner > 1. */
export type Layout = 'rows' | 'runs';

/** Sizes at which backends may take another path, each with the sizes on either side of it. */
export type SizeClass = 'small' | 'blocks' | 'elements' | 'rows or channels';

/** Where a behaviour stands in the matrix: its rule, tried in one kind of memory, layout and size class. */
export interface Cell {
  readonly rule: string;
  readonly memory: MemoryKind;
  readonly layout: Layout;
  readonly size: SizeClass;
}

/**
 * The verdict of a case that the backend's capabilities exclude: the code with which the backend refused it, as it
 * must.
 */
export interface Refusal {
  readonly refused: ErrorCode;
}

/** The backend that a case is run on. */
export interface Subject {
  readonly backend: Backend;
  readonly dtype: Dtype;
  /**
   * Another backend of the same kind, which the case disposes; absent when the kit was given a backend, not a factory.
   */
  readonly create: (() => MaybePromise<Backend>) | undefined;
  /** Whether the run is quick, with fewer random programs. Default false. */
  readonly quick?: boolean;
}

/** One question of the kit. */
export interface ConformanceCase {
  readonly group: Group;
  /** The golden file, or the group. */
  readonly source: string;
  readonly name: string;
  readonly why: string;
  readonly cell?: Cell;
  /** The one dtype that it is about. Default: it is tried in float32 and in float64. */
  readonly dtype?: Dtype;
  /** Whether it takes so long that a quick run leaves it out. Default false. */
  readonly slow?: boolean;
  /** Why this case can say nothing about the subject; undefined if it can. */
  inapplicable?(subject: Subject): MaybePromise<string | undefined>;
  /** Errors: whatever the backend fails with. */
  run(subject: Subject): Promise<readonly Check[] | Refusal>;
}
