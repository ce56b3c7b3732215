// The operations, and how threads share one: the calling thread publishes a job as a number of tasks, everybody takes tasks
// until there are none left, and the calling thread waits for those that others still work on. Which thread does a task
// changes no bit of its result.
import { perform } from './index';
import { Job } from './job';

export { perform };

/** One for all threads. What several of them write lies in cache lines of its own. */
@unmanaged
class Crew {
  operation: i32;
  /** A task is `unit` of the range [0, limit). */
  unit: i32;
  limit: i32;
  tasks: i32;
  job: Job;
}

/** Bytes into a crew of: the count of jobs so far, of tasks that nobody has taken, of tasks done, of threads asleep. */
const published: usize = 64;
const remaining: usize = 128;
const done: usize = 192;
const asleep: usize = 256;

/** How often a worker looks for work before it sleeps: some 100 µs. */
const looksForWork: i32 = 1 << 16;
/** How often the calling thread looks before it reports that it still waits: longer than a task takes, some 10 ms. */
const looksForEnd: i32 = 1 << 22;

/** A worker's life; it ends with its thread. */
export function work(crew: Crew): void {
  const at = changetype<usize>(crew);
  let seen = atomic.load<i32>(at + published);
  while (true) {
    takeTasks(crew);
    let left = looksForWork;
    while (left-- > 0 && atomic.load<i32>(at + published) == seen) {}
    if (left < 0) {
      atomic.add<i32>(at + asleep, 1);
      atomic.wait<i32>(at + published, seen, -1);
      atomic.sub<i32>(at + asleep, 1);
    }
    seen = atomic.load<i32>(at + published);
  }
}

/** Performs `operation` over [0, limit) with everybody's help. Whether all of it is done; if not, ask `settled`. */
export function lead(crew: Crew, job: Job, operation: i32, unit: i32, limit: i32): bool {
  const at = changetype<usize>(crew);
  const tasks = (limit + unit - 1) / unit;
  crew.job = job;
  crew.operation = operation;
  crew.unit = unit;
  crew.limit = limit;
  crew.tasks = tasks;
  atomic.store<i32>(at + done, 0);
  atomic.store<i32>(at + remaining, tasks);
  atomic.add<i32>(at + published, 1);
  if (atomic.load<i32>(at + asleep) > 0) atomic.notify(at + published, -1);
  takeTasks(crew);
  return settled(crew);
}

/** Whether all tasks are done; waits for a moment. */
export function settled(crew: Crew): bool {
  const at = changetype<usize>(crew) + done;
  for (let left = looksForEnd; left > 0; left--) if (atomic.load<i32>(at) == crew.tasks) return true;
  return false;
}

function takeTasks(crew: Crew): void {
  const at = changetype<usize>(crew);
  while (true) {
    const task = atomic.sub<i32>(at + remaining, 1) - 1;
    if (task < 0) return;
    // Sums from the first part on, what is written from the last one back: it is still in cache.
    const isSum = crew.operation == 4 || crew.operation == 9;
    const from = (isSum ? crew.tasks - 1 - task : task) * crew.unit;
    perform(crew.job, crew.operation, from, min(from + crew.unit, crew.limit));
    atomic.add<i32>(at + done, 1);
  }
}
