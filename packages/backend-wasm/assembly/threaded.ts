// The operations, and how threads share one: the calling thread publishes a job as a number of tasks, everybody takes tasks
// until there are none left, and the calling thread waits for those that others still work on. Which thread does a task
// changes no bit of its result, so that a task whose thread has died is done again by the calling one.
import { clearSection } from './channels';
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

/** Bytes into a crew of: the count of jobs so far, of threads asleep, and of the state of each task. */
const published: usize = 64;
const asleep: usize = 128;
const states: usize = 192;

/** States of a task; else the number of the thread that has taken it, from 1 on for workers. */
const free: i32 = 0;
const done: i32 = -1;
const callingThread: i32 = -2;

/** How often a worker looks for work before it sleeps: some 100 µs. */
const looksForWork: i32 = 1 << 16;
/** How often the calling thread looks before it reports that it still waits: longer than a task takes, some 10 ms. */
const looksForEnd: i32 = 1 << 22;

/** The life of worker `thread`; it ends with its thread. */
export function work(crew: Crew, thread: i32): void {
  const at = changetype<usize>(crew);
  let seen = atomic.load<i32>(at + published);
  while (true) {
    takeTasks(crew, thread);
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
  crew.job = job;
  crew.operation = operation;
  crew.unit = unit;
  crew.limit = limit;
  crew.tasks = (limit + unit - 1) / unit;
  for (let task = 0; task < crew.tasks; task++) atomic.store<i32>(stateOf(crew, task), free);
  atomic.add<i32>(at + published, 1);
  if (atomic.load<i32>(at + asleep) > 0) atomic.notify(at + published, -1);
  takeTasks(crew, callingThread);
  return settled(crew);
}

/** Whether all tasks are done; waits for a moment. */
export function settled(crew: Crew): bool {
  for (let task = 0, left = looksForEnd; left > 0; left--) {
    while (task < crew.tasks && atomic.load<i32>(stateOf(crew, task)) == done) task++;
    if (task == crew.tasks) return true;
  }
  return false;
}

/** Does what `thread` had taken when it died. */
export function inherit(crew: Crew, thread: i32): void {
  for (let task = 0; task < crew.tasks; task++) {
    if (atomic.load<i32>(stateOf(crew, task)) != thread) continue;
    if (isSum(crew)) clearSection(crew.job, beginOf(crew, task) / crew.job.section);
    performTask(crew, task);
  }
}

function takeTasks(crew: Crew, thread: i32): void {
  for (let task = 0; task < crew.tasks; task++) {
    if (atomic.cmpxchg<i32>(stateOf(crew, task), free, thread) == free) performTask(crew, task);
  }
}

function performTask(crew: Crew, task: i32): void {
  const from = beginOf(crew, task);
  perform(crew.job, crew.operation, from, min(from + crew.unit, crew.limit));
  atomic.store<i32>(stateOf(crew, task), done);
}

@inline
function stateOf(crew: Crew, task: i32): usize {
  return changetype<usize>(crew) + states + (<usize>task << 2);
}

/** Sums from the first part on, what is written from the last one back: it is still in cache. */
@inline
function beginOf(crew: Crew, task: i32): i32 {
  return (isSum(crew) ? task : crew.tasks - 1 - task) * crew.unit;
}

/** Moments, or gradients: a section has sums of its own. */
@inline
function isSum(crew: Crew): bool {
  return crew.operation == 4 || crew.operation == 9;
}
