// What has been found out so far, as plain data: every view and every report is a function of it.
import type { CaseResult } from '@batchnorm/conformance';
import type { Operation } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import { type Device, describeDevice } from '../device/device.js';
import type { Available, PlannedCase, Verified } from '../messages.js';
import { type Choice, choiceAmong } from '../recommend/choice.js';
import { type Memory, type Shape, sameShape } from '../shape.js';
import type { Settings } from './settings.js';
import type { FailureCode } from './worker-client.js';

export type Stage = 'availability' | 'conformance' | 'speed';

/** What went wrong on a backend: the visit goes on without it, or without this part of it. */
export interface Trouble {
  readonly stage: Stage;
  /** What was timed then. */
  readonly shape?: Shape;
  readonly code: FailureCode | null;
  readonly message: string;
}

/** Such as 'DEVICE_LOST: the device was lost in …'. */
export function troubleText({ code, message }: Trouble): string {
  return code === null ? message : `${code}: ${message}`;
}

/** What is timed. */
export interface Measured {
  readonly shape: Shape;
  readonly operation: Operation;
  readonly memory: Memory;
}

/** Seconds of each round, beside a copy of the same bytes in the same round. */
export interface Timing extends Measured {
  readonly seconds: readonly number[];
  readonly limits: readonly number[];
}

export interface BackendFindings {
  readonly name: BackendName;
  /** Null until it is known, and where it does not work. */
  readonly available: Available | null;
  readonly plan: readonly PlannedCase[];
  readonly results: readonly CaseResult[];
  readonly kitDone: boolean;
  /** How the timed results came out, by the text of the shape. */
  readonly verified: Readonly<Record<string, Verified>>;
  readonly timings: readonly Timing[];
  readonly troubles: readonly Trouble[];
}

export interface Progress {
  readonly stage: Stage;
  /** The backend that is at work, or the shape that is timed, in words. */
  readonly on: string;
  readonly done: number;
  readonly total: number;
}

export interface Visit {
  readonly state: 'ready' | 'running' | 'done' | 'stopped';
  readonly settings: Settings;
  /** What the visitor wants to know the answer for: its shape is timed first. */
  readonly choice: Choice;
  readonly device: Device;
  /** ISO 8601; empty before. */
  readonly date: string;
  readonly progress: Progress | null;
  readonly backends: readonly BackendFindings[];
}

export function newVisit(settings: Settings, wanted: Partial<Choice> = {}): Visit {
  const backends = settings.backends.map((name) => ({
    name,
    available: null,
    plan: [],
    results: [],
    kitDone: false,
    verified: {},
    timings: [],
    troubles: [],
  }));
  const choice = choiceAmong(settings.shapes, wanted);
  return { state: 'ready', settings, choice, device: describeDevice(), date: '', progress: null, backends };
}

/** Timings with one more round. */
export function withRound(
  timings: readonly Timing[],
  { shape, operation, memory }: Measured,
  seconds: number,
  limit: number,
): Timing[] {
  const same = timingOf(timings, shape, operation, memory);
  const grown = {
    shape,
    operation,
    memory,
    seconds: [...(same?.seconds ?? []), seconds],
    limits: [...(same?.limits ?? []), limit],
  };
  return same ? timings.map((one) => (one === same ? grown : one)) : [...timings, grown];
}

export function timingOf(
  timings: readonly Timing[],
  shape: Shape,
  operation: Operation,
  memory: Memory = 'host',
): Timing | undefined {
  return timings.find((one) => one.operation === operation && one.memory === memory && sameShape(one.shape, shape));
}
