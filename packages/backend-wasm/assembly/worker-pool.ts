// The kernels for shared memory, and how threads share one call: the calling thread dispatches a job as a number of
// tasks, every thread takes tasks until none is free, and the calling thread waits for those that others still work on.
// Which thread does a task changes no bit of its result, so that the calling one does the task of a dead thread again.
import * as opcode from '../src/abi/opcode';
import { poolAddress } from '../src/abi/pool-memory';
import { Job } from './job';
import { perform } from './kernels';
import { clearSection } from './per-channel';

export { perform };

/**
 * What is dispatched. The counters and states after it are written by several threads, and lie in cache lines of their
 * own.
 */
@unmanaged
class Pool {
  code: i32;
  /** Channels or outer indices of a task; the tasks together are the range [0, limit). */
  grain: i32;
  limit: i32;
  tasks: i32;
  job: Job;
}

const pool = changetype<Pool>(<usize>poolAddress);
/** The address of the number of dispatches so far. */
const dispatches: usize = poolAddress + 64;
/** The address of the number of threads asleep. */
const asleep: usize = poolAddress + 128;
/**
 * The address of the tasks' states, an i32 each: the number of the worker that has taken it, from 1 on, or one of
 * these.
 */
const states: usize = poolAddress + 192;
const free: i32 = 0;
const done: i32 = -1;
const takenByCaller: i32 = -2;

/** How often a worker looks for a dispatch before it sleeps: some 100 µs. */
const looksForWork: i32 = 1 << 16;
/** How often the calling thread looks before it reports that it still waits: longer than a task takes, some 10 ms. */
const looksForEnd: i32 = 1 << 22;

/** What worker `thread` does from begin to end; it never returns. */
export function work(thread: i32): void {
  let seen = atomic.load<i32>(dispatches);
  while (true) {
    takeTasks(thread);
    let left = looksForWork;
    while (left-- > 0 && atomic.load<i32>(dispatches) == seen) {}
    if (left < 0) {
      atomic.add<i32>(asleep, 1);
      atomic.wait<i32>(dispatches, seen, -1);
      atomic.sub<i32>(asleep, 1);
    }
    seen = atomic.load<i32>(dispatches);
  }
}

/** Performs `code` over [0, limit), on all threads. Whether it is done; if not, ask `isDone`. */
export function dispatch(job: Job, code: i32, grain: i32, limit: i32): bool {
  pool.job = job;
  pool.code = code;
  pool.grain = grain;
  pool.limit = limit;
  pool.tasks = (limit + grain - 1) / grain;
  for (let task = 0; task < pool.tasks; task++) atomic.store<i32>(stateOf(task), free);
  atomic.add<i32>(dispatches, 1);
  if (atomic.load<i32>(asleep) > 0) atomic.notify(dispatches, -1);
  takeTasks(takenByCaller);
  return isDone();
}

/** Whether all tasks are done; waits for them a while. */
export function isDone(): bool {
  for (let task = 0, left = looksForEnd; left > 0; left--) {
    while (task < pool.tasks && atomic.load<i32>(stateOf(task)) == done) task++;
    if (task == pool.tasks) return true;
  }
  return false;
}

/** Does again what worker `thread` had taken when it died. */
export function redo(thread: i32): void {
  for (let task = 0; task < pool.tasks; task++) {
    if (atomic.load<i32>(stateOf(task)) != thread) continue;
    if (isSum()) clearSection(pool.job, beginOf(task) / pool.job.section);
    performTask(task);
  }
}

function takeTasks(taker: i32): void {
  for (let task = 0; task < pool.tasks; task++) {
    if (atomic.cmpxchg<i32>(stateOf(task), free, taker) == free) performTask(task);
  }
}

function performTask(task: i32): void {
  const from = beginOf(task);
  perform(pool.job, pool.code, from, min(from + pool.grain, pool.limit));
  atomic.store<i32>(stateOf(task), done);
}

/* @inline */ function stateOf(task: i32): usize {
  return states + ((<usize>task) << 2);
}

/**
 * Tasks that add up begin at the first index, those that write at the last: what was added up last is still in cache.
 */
/* @inline */ function beginOf(task: i32): i32 {
  return (isSum() ? task : pool.tasks - 1 - task) * pool.grain;
}

/** Whether tasks add up, each into the tables of its own section. */
/* @inline */ function isSum(): bool {
  return pool.code == opcode.moments || pool.code == opcode.gradientSums;
}
