// A mask in linear memory: the positions that pivots are chosen from, and a byte for each position, 1 where it counts.
import { maskPositions } from '../src/abi/mask-field';
import { Job } from './job';

/** Whether position `p` has a part in the moments. */
/* @inline */ export function counts(job: Job, p: i32): bool {
  return job.mask == 0 || load<u8>(job.mask + maskPositions + p) != 0;
}

/** Position `k` of those that pivots are chosen from. */
/* @inline */ export function sampleOf(job: Job, k: i32): i32 {
  return load<i32>(job.mask + ((<usize>k) << 2));
}

/** The end, at most `limit`, of the positions from `p` on that all count, or all do not. */
export function endOfAlike(job: Job, p: i32, limit: i32): i32 {
  if (job.mask == 0) return limit;
  const positions = job.mask + maskPositions;
  const first = v128.load8_splat(positions + p);
  while (p + 16 <= limit && i8x16.all_true(i8x16.eq(v128.load(positions + p), first))) p += 16;
  while (p < limit && load<u8>(positions + p) == i8x16.extract_lane_u(first, 0)) p++;
  return p;
}
