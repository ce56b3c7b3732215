// What the page and its workers say to each other. A worker serves one request at a time and ends each with `done` or
// `failed`.
import type { CaseResult } from '@batchnorm/conformance';
import type { Capabilities, ErrorCode, Execution } from '@batchnorm/core-api';
import type { Operation, SelectionReport } from '@batchnorm/select';
import type { BackendName } from './backends.js';
import type { Memory, Shape } from './shape.js';

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

interface Service<Request, Progress, Answer> {
  readonly request: Request;
  readonly progress: Progress;
  readonly answer: Answer;
}

export interface Services {
  /** Whether it works here. */
  probe: Service<{ readonly backend: BackendName }, never, Available>;
  /** The conformance kit, case by case. */
  kit: Service<{ readonly backend: BackendName }, KitProgress, null>;
  /** Makes a layer for this shape and verifies it; `sample` then times it. */
  open: Service<{ readonly backend: BackendName; readonly shape: Shape }, never, Verified>;
  /**
   * Seconds of one call, the mean of as many as take `sampleTime` seconds; null where the backend has no memory of its
   * own that it was asked for.
   */
  sample: Service<
    { readonly operation: Operation; readonly memory: Memory; readonly sampleTime: number },
    never,
    number | null
  >;
  /** Seconds of one copy of so many float32 elements. */
  copy: Service<{ readonly elements: number; readonly sampleTime: number }, never, number>;
  /** `selectBackend` among these. */
  select: Service<
    { readonly backends: readonly BackendName[]; readonly shape: Shape; readonly operation: Operation },
    never,
    SelectionReport
  >;
}

export type ServiceName = keyof Services;

/** What the page sends: which service, and its request. */
export type ToWorker = {
  readonly [Name in ServiceName]: { readonly service: Name; readonly request: Services[Name]['request'] };
}[ServiceName];

/** What the worker answers. */
export type FromWorker<Name extends ServiceName = ServiceName> =
  | { readonly kind: 'progress'; readonly value: Services[Name]['progress'] }
  | { readonly kind: 'done'; readonly value: Services[Name]['answer'] }
  | { readonly kind: 'failed'; readonly code: ErrorCode | null; readonly message: string };
