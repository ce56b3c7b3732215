// What the page and its workers tell each other.

export interface Share {
  readonly rank: number;
  readonly size: number;
  readonly port: MessagePort;
  readonly rows: Float64Array;
  readonly shape: readonly [rows: number, features: number];
}

export interface Normalised {
  readonly y: readonly number[];
  readonly runningMean: readonly number[];
  readonly runningVariance: readonly number[];
}
