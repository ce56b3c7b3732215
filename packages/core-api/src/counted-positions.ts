// A mask as kernels get it, whatever the layout.

/** Which positions of an extent have a part in the statistics. */
export interface CountedPositions {
  /** 1 or 0, [outer · inner]. Position (o, i) is that of the elements (o, c, i). */
  readonly positions: Uint8Array;
  /** How many of them are 1. */
  readonly count: number;
}

/**
 * Whether `holds` for every run of neighbours that count from position `from` to before `to`, which it gets as indices
 * relative to `from`.
 */
export function everyCountedRun(
  { positions }: CountedPositions,
  from: number,
  to: number,
  holds: (begin: number, end: number) => boolean,
): boolean {
  for (let p = from; p < to; ) {
    if (positions[p] === 0) {
      p++;
      continue;
    }
    const begin = p;
    while (p < to && positions[p] === 1) p++;
    if (!holds(begin - from, p - from)) return false;
  }
  return true;
}
