// What gathers would take on more ranks than there are here: a model with two measured constants.

export interface Network {
  /** Microseconds from one rank to another, beside what the software takes. */
  readonly latency: number;
  /** Bytes per microsecond that a rank receives. */
  readonly bandwidth: number;
}

/** Measured: what a gather takes without a network, in microseconds. */
export interface Software {
  /** Each time that ranks exchange something: calls, polling, promises. */
  readonly exchange: number;
  /** Of each value of each rank: copies, and merging. */
  readonly value: number;
}

/** Values of a frame: what every gather sends at least, and what fits into its first exchange. */
const frame = { sent: 256, carried: 252 };

/**
 * Microseconds of one all-gather of so many float64 values of each rank: in ⌈log₂ ranks⌉ rounds, after which each has
 * received those of all others. More values than a frame carries take a second exchange.
 */
export function gatherTime(values: number, ranks: number, network: Network, software: Software): number {
  const rest = Math.max(0, values - frame.carried);
  const exchanges = rest > 0 ? 2 : 1;
  const rounds = Math.ceil(Math.log2(ranks));
  const received = (ranks - 1) * 8 * (frame.sent + rest);
  return (
    exchanges * (software.exchange + rounds * network.latency) +
    received / network.bandwidth +
    ranks * (frame.sent + rest) * software.value
  );
}

/** Of a layer in a training step: the moments, the confirmation, and the sums of the backward. */
export function layerTime(channels: number, ranks: number, network: Network, software: Software): number {
  const message = 14 + 2 * channels;
  const time = (values: number) => gatherTime(values, ranks, network, software);
  return 2 * time(message) + time(1);
}

/**
 * The same by PyTorch's scheme: an all-gather of mean, inverse deviation and count, and an all-reduce of the two sums, in
 * float32. A tree reduces and spreads in 2 ⌈log₂ ranks⌉ rounds, and moves two messages whatever the ranks.
 */
export function pytorchTime(channels: number, ranks: number, network: Network, software: Software): number {
  const rounds = Math.ceil(Math.log2(ranks));
  const gather = rounds * network.latency + ((ranks - 1) * 4 * (2 * channels + 1)) / network.bandwidth;
  const reduce = 2 * rounds * network.latency + (2 * 4 * 2 * channels) / network.bandwidth;
  return 2 * software.exchange + gather + reduce + ranks * (2 * channels + 1) * software.value;
}

/** The constants that fit measured gathers of so many values by two ranks of one host best, by least squares. */
export function fitted(
  points: readonly { readonly values: number; readonly micros: number }[],
  host: Network,
): Software {
  // micros − network = exchanges · exchange + numbers · value
  let [aa, ab, bb, ay, by] = [0, 0, 0, 0, 0];
  for (const { values, micros } of points) {
    const a = values > frame.carried ? 2 : 1;
    const b = 2 * (frame.sent + Math.max(0, values - frame.carried));
    const y = micros - gatherTime(values, 2, host, { exchange: 0, value: 0 });
    // Relative errors count: a large gather is not to decide for small ones.
    const weight = 1 / micros ** 2;
    aa += weight * a * a;
    ab += weight * a * b;
    bb += weight * b * b;
    ay += weight * a * y;
    by += weight * b * y;
  }
  const determinant = aa * bb - ab * ab;
  return { exchange: (ay * bb - by * ab) / determinant, value: (by * aa - ay * ab) / determinant };
}
