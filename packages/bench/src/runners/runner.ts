// Where contenders run: this process, a page in Chromium, Python, or a process with the packages of another commit. All
// of them prepare, verify and sample alike.
import type { DataPath, Operation, Platform, Setting } from '../cases/case.js';
import type { Verdict } from '../cases/verify.js';
import type { Description } from '../contenders/contender.js';
import type { Sampling } from '../timing/clock.js';

export interface Request extends Setting {
  readonly contender: string;
  readonly operations: readonly Operation[];
  readonly dataPaths: readonly DataPath[];
}

/** A call that has been run once, and compared with the oracle. */
export interface PreparedCall {
  /** What `sample` knows it by. */
  readonly id: string;
  readonly operation: Operation;
  readonly memory: DataPath;
  /** Seconds of the first call, with what it needs beforehand: compiling kernels. */
  readonly first: number;
  readonly verdict: Verdict;
}

/** What there is to time, or why there is nothing: it can't run here, or it failed. */
export type Preparation =
  | { readonly description: Description; readonly calls: readonly PreparedCall[] }
  | { readonly unavailable: string }
  | { readonly failed: string };

export interface Runner {
  readonly platform: Platform;
  /** Does not reject for what the contender does wrong. */
  prepare(request: Request): Promise<Preparation>;
  /** Seconds per call in each of some samples. Errors: what the contender fails with. */
  sample(id: string, sampling: Sampling): Promise<readonly number[]>;
  /** Lets go of everything that was prepared. */
  release(): Promise<void>;
  close(): Promise<void>;
}

/** The calls of a process or page that has one contender, with ids that tell them from those of the others. */
export function qualified(contender: string, found: Preparation): Preparation {
  if (!('calls' in found)) return found;
  return { ...found, calls: found.calls.map((call) => ({ ...call, id: `${contender}\n${call.id}` })) };
}

/** The contender of such an id, and the id that its process or page knows the call by. */
export function unqualified(id: string): [contender: string, id: string] {
  return id.split('\n') as [string, string];
}
