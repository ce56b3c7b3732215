// What a selection is asked and what it answers: the types that callers see.
import type { Backend, Execution } from '../backend.js';
import type { MaybePromise } from '../maybe-promise.js';
import type { Dtype } from '../tensor.js';

/** What is timed. `training-step` is `forward-training` and then `backward`. */
export const operations = ['forward-training', 'forward-inference', 'backward', 'training-step'] as const;

export type Operation = (typeof operations)[number];

/** A backend that may be chosen. */
export interface Candidate {
  /** For the report and the cache; no two candidates share one. */
  readonly name: string;
  /** Makes a backend that nobody else disposes. May throw, reject, or never answer: the report then says so. */
  readonly create: () => MaybePromise<Backend>;
}

export interface SelectOptions {
  /** The activation to choose for, such as [256, 64]; what a candidate makes of it is checked. */
  readonly shape: readonly number[];
  /** Its channel axis; negative counts from the end. Default 1. */
  readonly axis?: number;
  /** Default 'float32'. */
  readonly dtype?: Dtype;
  /** What to time. Default 'training-step'. */
  readonly operation?: Operation;
  /** The shortest time, or the smallest error in the known case. Of equals the first is taken. Default 'speed'. */
  readonly prefer?: 'speed' | 'accuracy';
  /**
   * Milliseconds for all measuring together, in equal shares; greater than 0. Every candidate gets a warm-up call and a timed one
   * however long they take, and a call that has begun is not cut short. Default 200.
   */
  readonly budgetMs?: number;
  /** `false` takes the first candidate that computes right, in order, and tries no other; `prefer` has no say then. Default true. */
  readonly measure?: boolean;
  /** Milliseconds that a candidate may take to be made and checked, and again to be measured beyond its share. Default 5000. */
  readonly timeoutMs?: number;
  /** The `cache` of an earlier selection, also parsed from JSON. What is stale, foreign or malformed is ignored. */
  readonly cache?: unknown;
  /** Disposes everything made so far; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface Selection {
  /** The caller's from now on, to dispose. Those of the other candidates are disposed. */
  readonly backend: Backend;
  readonly report: SelectionReport;
  readonly cache: SelectionCache;
}

/** Plain JSON. */
export interface SelectionReport {
  /** The name of the chosen candidate. */
  readonly chosen: string;
  /** What this program runs on, as far as it can tell. */
  readonly platform: string;
  /** Whether the choice is that of `options.cache`; nothing was measured then. */
  readonly fromCache: boolean;
  /** In the order in which they were given. */
  readonly candidates: readonly CandidateReport[];
}

export interface CandidateReport {
  readonly name: string;
  /** Whether it works here; null where that was not tried. */
  readonly available: boolean | null;
  /** Why it is not available, or was not tried; null where it works. */
  readonly reason: string | null;
  /** What really runs; null where no backend was made. */
  readonly execution: Execution | null;
  /** Median time of one call on the asked shape, from host arrays to host arrays; null where nothing was measured. */
  readonly milliseconds: number | null;
  /** The worst relative error in the known case; null where it was not computed to the end, or wrong. */
  readonly error: number | null;
}

/** A choice to keep, as plain JSON. It holds for one platform and one question; elsewhere it is ignored. */
export interface SelectionCache {
  readonly formatVersion: 1;
  /** The platform and the question. */
  readonly key: string;
  /** The name of the chosen candidate. */
  readonly chosen: string;
  /** What it ran on: a choice for another device is stale. */
  readonly execution: string;
}
