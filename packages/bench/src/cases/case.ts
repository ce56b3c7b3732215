// What is timed: an operation × shape × dtype × contender × memory, and the names that flags, tables and files have for it.
import { type Dtype, product } from '@batchnorm/core-api';

export const operations = ['forward-training', 'forward-inference', 'backward', 'training-step'] as const;
export type Operation = (typeof operations)[number];

/** `host`: arrays in, arrays out. `device`: activations stay on the device. `readback`: in on the device, out to arrays. */
export const memories = ['host', 'device', 'readback'] as const;
export type Memory = (typeof memories)[number];

export type Platform = 'node' | 'chromium' | 'python';

/** A shape and a dtype: what one problem, and one set of prepared contenders, is for. */
export interface Setting {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

export interface Case extends Setting {
  readonly operation: Operation;
  readonly contender: string;
  readonly platform: Platform;
  readonly memory: Memory;
}

/** 1024×256. */
export function nameOfShape(shape: readonly number[]): string {
  return shape.join('×');
}

/** As `--backend` and REQUIRE_BACKENDS have it: 'js', 'js@chromium'. */
export function nameOfContender({ contender, platform }: Pick<Case, 'contender' | 'platform'>): string {
  return platform === 'chromium' ? `${contender}@chromium` : contender;
}

/** Unique in a run, and the same in every run: what histories and comparisons match by. */
export function nameOfCase(one: Case): string {
  return `${one.operation} ${nameOfShape(one.shape)} ${one.dtype} ${nameOfContender(one)} ${one.memory}`;
}

/**
 * The activations that an operation reads or writes at least once, if it keeps in cache what it needs twice: x and y; x, dy and
 * dx; and both for a step.
 */
const streams: Readonly<Record<Operation, number>> = {
  'forward-training': 2,
  'forward-inference': 2,
  backward: 3,
  'training-step': 5,
};

/** The bytes that must move. */
export function bytesMoved({ operation, shape, dtype }: Pick<Case, 'operation' | 'shape' | 'dtype'>): number {
  return streams[operation] * product(shape) * (dtype === 'float64' ? 8 : 4);
}
