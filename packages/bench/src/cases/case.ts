// What is timed: an operation × shape × dtype × contender × data path, and the names that flags, tables and files have
// for it.
import type { Dtype } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import { operations } from '@batchnorm/select';

export { operations } from '@batchnorm/select';

/**
 * Those, and training steps of y = max(BN(x) + residual, 0): fused, and as three steps of their own. Only what has them
 * takes part.
 */
export const everyOperation: readonly [...typeof operations, 'add-relu-step', 'add-relu-apart'] = [
  ...operations,
  'add-relu-step',
  'add-relu-apart',
];
export type Operation = (typeof everyOperation)[number];

/**
 * Where activations come from and go to. `host`: from arrays, into arrays. `allocated`: the same with tensors that the
 * backend allocated. `device`: they stay on the device. `readback`: from the device, into arrays. Flags, tables and files
 * call it `memory`.
 */
export const dataPaths = ['host', 'allocated', 'device', 'readback'] as const;
export type DataPath = (typeof dataPaths)[number];

export type Platform = 'node' | 'chromium' | 'python';

/** A shape and a dtype. Each setting has one workload, and contenders are prepared for one setting at a time. */
export interface Setting {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

export interface Case extends Setting {
  readonly operation: Operation;
  readonly contender: string;
  readonly platform: Platform;
  readonly memory: DataPath;
}

/** As `--backend` and REQUIRE_BACKENDS have it: 'js', 'js@chromium'. */
export function nameOfContender({ contender, platform }: Pick<Case, 'contender' | 'platform'>): string {
  return platform === 'chromium' ? `${contender}@chromium` : contender;
}

/** Unique in a run, and the same in every run: what histories and comparisons match by. */
export function nameOfCase(one: Case): string {
  return `${one.operation} ${shapeText(one.shape)} ${one.dtype} ${nameOfContender(one)} ${one.memory}`;
}
