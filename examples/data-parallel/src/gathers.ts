// Which gathers are timed.

/** Of the layers whose moments are gathered; 0 is the one number that confirms a forward. */
export const channelCounts: readonly number[] = [0, 64, 256, 1024];

export interface GatherTimes {
  readonly ranks: number;
  /** Microseconds of one gather for each of `channelCounts`: what a tenth of the samples undercuts. */
  readonly fast: readonly number[];
  /** The median, to which whatever else runs on the machine adds. */
  readonly median: readonly number[];
}

/** The numbers in a layer's message. */
export function valuesOf(channels: number): number {
  return channels === 0 ? 1 : 14 + 2 * channels;
}

/** 0.5: the median. */
export function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]!;
}
