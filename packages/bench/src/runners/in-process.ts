// Contenders in this process, whether that is Node or a page.
import { BatchNormError } from '@batchnorm/core-api';
import { nameOfShape, type Platform, type Setting } from '../cases/case.js';
import { type Problem, problemOf } from '../cases/problem.js';
import { Expected } from '../cases/verify.js';
import { type Contender, type Entrant, type Task, Unavailable } from '../contenders/contender.js';
import { timed } from '../contenders/on-kernels.js';
import type { Clock, Sampling } from '../timing/clock.js';
import type { Preparation, PreparedTask, Request, Runner } from './runner.js';

export class InProcessRunner implements Runner {
  readonly platform: Platform;
  readonly #contenders: readonly Contender[];
  readonly #clock: Clock;
  #problem: Problem | undefined;
  readonly #entrants: Entrant[] = [];
  readonly #tasks: Map<string, Task> = new Map();

  constructor(platform: Platform, contenders: readonly Contender[], clock: Clock) {
    this.platform = platform;
    this.#contenders = contenders;
    this.#clock = clock;
  }

  async prepare({ contender: name, operations, memories, ...setting }: Request): Promise<Preparation> {
    const contender = this.#contenders.find((one) => one.name === name);
    if (contender === undefined) return { unavailable: `'${name}' is not part of this build` };
    if (!contender.platforms.includes(this.platform)) {
      return { unavailable: `'${name}' needs ${contender.platforms.join(' or ')}` };
    }
    try {
      const problem = this.#problemOf(setting);
      const expected = new Expected(problem); // several times the problem's size: not kept
      const entrant = await contender.enter(problem);
      this.#entrants.push(entrant);
      const { description } = entrant;
      const tasks: PreparedTask[] = [];
      for (const task of entrant.tasks) {
        const { operation, memory } = task;
        if (!operations.includes(operation) || !memories.includes(memory)) continue;
        await task.before?.();
        const [, first] = await timed(() => task.run());
        const verdict = expected.verify(operation, await task.results(), description.accumulation?.[setting.dtype]);
        const id = `${name} ${operation} ${memory}`;
        this.#tasks.set(id, task);
        tasks.push({ id, operation, memory, first: description.preparation + first, verdict });
      }
      return { description, tasks };
    } catch (error) {
      return reasonOf(error);
    }
  }

  sample(id: string, sampling: Sampling): Promise<readonly number[]> {
    const { run } = this.#tasks.get(id)!;
    return this.#clock(id, run, sampling);
  }

  async release(): Promise<void> {
    this.#tasks.clear();
    for (const entrant of this.#entrants.splice(0)) await entrant.dispose();
    this.#problem = undefined;
  }

  close(): Promise<void> {
    return this.release();
  }

  #problemOf(setting: Setting): Problem {
    const { shape, dtype } = setting;
    if (this.#problem?.dtype !== dtype || nameOfShape(this.#problem.shape) !== nameOfShape(shape)) {
      this.#problem = problemOf(setting);
    }
    return this.#problem;
  }
}

const skips: readonly string[] = ['BACKEND_UNAVAILABLE', 'LIMIT_EXCEEDED', 'DTYPE_MISMATCH'];

function reasonOf(error: unknown): Preparation {
  if (error instanceof Unavailable) return { unavailable: error.message };
  if (error instanceof BatchNormError && skips.includes(error.code)) return { unavailable: error.message };
  return { failed: error instanceof Error ? error.message : String(error) };
}
