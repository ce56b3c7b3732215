// What a call is about. The host writes it to memory (src/passes.ts has the same layout), and every thread reads it.

@unmanaged
export class Job {
  /** 1 where activations are float64. */
  isDouble: i32;
  outer: i32;
  channels: i32;
  inner: i32;
  /** Entries of a table: whole cache lines, so that a pass may read and write a vector beyond the last channel. */
  pitch: usize;
  /** Channels that go through all passes of an operation before the next ones do. */
  panel: i32;
  /** Outer indices whose sums are added up by themselves; each section has tables of its own. */
  section: i32;
  sections: i32;
  x: usize;
  dy: usize;
  /** Where y or dx goes. */
  out: usize;
  /** Tables of the forward, and of sums: see tables.ts. */
  saved: usize;
  sums: usize;
  dgamma: usize;
  dbeta: usize;
  /** Rows of a place, of eight that sums go through at once. */
  place: i32;
  epsilon: f64;
}
