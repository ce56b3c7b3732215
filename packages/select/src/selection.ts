// What a selection is asked and what it answers: the types that callers see.
import type { Backend, Dtype, MaybePromise } from '@batchnorm/core-api';

/** What is timed. `training-step` is `forward-training` and then `backward`. */
export const operations = ['forward-training', 'forward-inference', 'backward', 'training-step'] as const;

/** One of `operations`. */
export type Operation = (typeof operations)[number];

/** A backend that may be chosen. */
export interface Candidate {
  /** Names the candidate in the report and the cache. Names of one selection must differ. */
  readonly name: string;
  /** Makes a backend, to be disposed here or by the caller. May throw, reject or never answer: the report says so. */
  readonly create: () => MaybePromise<Backend>;
}

/** What a backend is chosen for, and how. */
export interface SelectOptions {
  /** The shape of the activation to choose for, such as [256, 64]. */
  readonly shape: readonly number[];
  /** The channel axis of `shape`; negative counts from the end. Default 1. */
  readonly axis?: number;
  /** The element type of the activation. Default 'float32'. */
  readonly dtype?: Dtype;
  /** What to time. Default 'training-step'. */
  readonly operation?: Operation;
  /**
   * Where x and dy lie, and the buffers of results: in ordinary arrays of the program ('host'), or in tensors of
   * `layer.empty` and `layer.from` ('allocated'). Default 'host'.
   */
  readonly memory?: 'host' | 'allocated';
  /**
   * Whether results go into buffers, as with the option `out` of a layer's calls. `false`: each is new, and disposed when
   * the next one is there. Default true.
   */
  readonly out?: boolean;
  /**
   * Chooses the shortest time, or the smallest error in the known case; of those that are tied the first in the order of
   * the candidates. Default 'speed'.
   */
  readonly prefer?: 'speed' | 'accuracy';
  /**
   * Milliseconds for measuring all candidates, in equal shares; greater than 0. Every candidate makes a warm-up call
   * and a timed one however long they take, and a call that has begun is not interrupted. Where one candidate is left,
   * nothing is measured. Default 200.
   */
  readonly budgetMs?: number;
  /**
   * `false` chooses the first candidate that computes right, and tries none after it, whatever `prefer`. Default true.
   */
  readonly measure?: boolean;
  /**
   * Milliseconds that a candidate may take to be made, to be checked, and to be measured beyond its share: each of
   * them. Then it is out. Default 5000.
   */
  readonly timeoutMs?: number;
  /** The `cache` of an earlier selection, also parsed from JSON. Ignored where it is stale, foreign or malformed. */
  readonly cache?: unknown;
  /**
   * The `report.pin` of an earlier selection, also parsed from JSON: takes that candidate, on that engine and device, on
   * whatever machine and for whatever question, or rejects. No other candidate is made, and nothing is measured.
   */
  readonly pin?: Pin;
  /** When it is aborted, every backend made so far is disposed, and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The backend that was chosen, and why. */
export interface Selection {
  /** Belongs to the caller, who disposes it. The backends of the other candidates have been disposed. */
  readonly backend: Backend;
  readonly report: SelectionReport;
  readonly cache: SelectionCache;
}

/**
 * What decided: the option `pin`, the option `cache`, that no other candidate was left, the order of the candidates with
 * `measure: false`, the measured time or error, or the order of those whose time or error was tied.
 */
export type Decision = 'pin' | 'cache' | 'only' | 'order' | 'best' | 'tie';

/** Plain JSON. */
export interface SelectionReport {
  /** The name of the chosen candidate. */
  readonly chosen: string;
  readonly decision: Decision;
  /** The decision in a sentence, with its numbers. */
  readonly why: string;
  /** For the option `pin`, which takes the same again or rejects. */
  readonly pin: Pin;
  /** The platform on which the program runs, as far as it can tell. */
  readonly platform: string;
  /** In the order in which the candidates were given. Rows without nested objects, for `console.table`. */
  readonly candidates: readonly CandidateReport[];
}

/**
 * A candidate, and what its backend runs on. Threads are not part of it: a backend's results do not depend on their
 * number.
 */
export interface Pin {
  readonly name: string;
  readonly engine: string;
  readonly device: string;
}

/** What became of one candidate. */
export interface CandidateReport {
  readonly name: string;
  /** Whether the candidate works here; null where it was not tried. */
  readonly available: boolean | null;
  /** Why the candidate does not work, or was not tried; null where it works. */
  readonly reason: string | null;
  /** Median time of one call on the asked shape, from arrays to arrays; null where nothing was measured. */
  readonly milliseconds: number | null;
  /** The shortest time of one call, which other programs on the machine made no longer; null as before. */
  readonly leastMilliseconds: number | null;
  /** How many times it was timed: a small budget and a slow backend leave few; null as before. */
  readonly samples: number | null;
  /**
   * The median with tensors of `layer.empty`, of the chosen candidate when others were not asked about: what a program gains
   * that has its data there. Null where the backend has no memory for them, or it was not measured.
   */
  readonly allocatedMilliseconds: number | null;
  /** The largest relative error in the known case; null where the case did not end, or a result was wrong. */
  readonly error: number | null;
  /** What the backend really runs on, as its `execution` says; null where none was made. */
  readonly engine: string | null;
  readonly device: string | null;
  readonly threads: number | null;
  /** Why the backend does not run on what would be better, such as more threads; null where it does. */
  readonly fallbackReason: string | null;
}

/** A choice to keep, as plain JSON. It holds for one platform and one question, and is ignored for others. */
export interface SelectionCache {
  readonly formatVersion: 1;
  /** The platform and the question. */
  readonly key: string;
  /** The name of the chosen candidate. */
  readonly chosen: string;
  /** What its backend ran on: the choice is ignored where it runs on another device now. */
  readonly execution: string;
}
