// What the page and its workers say to each other. A worker does one task at a time and ends each with `done` or `failed`.
import type { CaseResult } from '@batchnorm/conformance';
import type { Capabilities, ErrorCode, Execution } from '@batchnorm/core-api';
import type { Operation, SelectionReport } from '@batchnorm/select';
import type { BackendName } from './backends.js';
import type { Shape } from './shape.js';

/** A backend that works here. */
export interface Available {
  readonly execution: Execution;
  readonly capabilities: Capabilities;
}

/** One case of the kit, before it has run. */
export type PlannedCase = Pick<CaseResult, 'group' | 'dtype'>;

export type KitProgress = { readonly plan: readonly PlannedCase[] } | { readonly result: CaseResult };

/** How the timed data came out, judged by the kit. */
export type Verified = Pick<CaseResult, 'worst' | 'ulps'>;

interface Task<Request, Progress, Answer> {
  readonly request: Request;
  readonly progress: Progress;
  readonly answer: Answer;
}

export interface Tasks {
  /** Whether it works here. */
  probe: Task<{ readonly backend: BackendName }, never, Available>;
  /** The conformance kit, case by case. */
  kit: Task<{ readonly backend: BackendName }, KitProgress, null>;
  /** Makes a layer for this shape and verifies it; `sample` then times it. */
  open: Task<{ readonly backend: BackendName; readonly shape: Shape }, never, Verified>;
  /** Seconds of one call, the mean of as many as take `sampleTime` seconds. */
  sample: Task<{ readonly operation: Operation; readonly sampleTime: number }, never, number>;
  /** Seconds of one copy of so many float32 elements. */
  copy: Task<{ readonly elements: number; readonly sampleTime: number }, never, number>;
  /** `selectBackend` among these. */
  select: Task<
    { readonly backends: readonly BackendName[]; readonly shape: Shape; readonly operation: Operation },
    never,
    SelectionReport
  >;
}

export type TaskName = keyof Tasks;

/** To the worker. */
export type ToWorker = {
  readonly [Name in TaskName]: { readonly task: Name; readonly request: Tasks[Name]['request'] };
}[TaskName];

/** From the worker. */
export type FromWorker<Name extends TaskName = TaskName> =
  | { readonly kind: 'progress'; readonly value: Tasks[Name]['progress'] }
  | { readonly kind: 'done'; readonly value: Tasks[Name]['answer'] }
  | { readonly kind: 'failed'; readonly code: ErrorCode | null; readonly message: string };
