// A rule of kernels: what a layer relies on, tried without one.
import type { Check } from '../compare.js';
import type { KernelScene } from './kernel-scene.js';

export interface Rule {
  readonly name: string;
  readonly why: string;
  /** `training`: with the statistics of the batch, else with given ones. No checks where the other says it all. */
  readonly run: (scene: KernelScene, training: boolean) => Promise<Check[]>;
}
