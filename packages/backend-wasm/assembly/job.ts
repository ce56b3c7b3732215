// What a call is about. The host writes it to memory (src/job.ts has the same layout), and every thread reads it.

@unmanaged
export class Job {
  /** 1 where activations are float64. */
  isDouble: i32;
  outer: i32;
  channels: i32;
  inner: i32;
  /** Channels that go through all passes of an operation before the next ones do. */
  panel: i32;
  x: usize;
  dy: usize;
  /** Where y or dx goes. */
  out: usize;
  /** Tables of the forward, and of sums: see tables.ts. */
  saved: usize;
  sums: usize;
  dgamma: usize;
  dbeta: usize;
  epsilon: f64;
}
