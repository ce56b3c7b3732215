// Contenders in this process, whether that is Node or a page.
import { BatchNormError } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import type { Platform, Setting } from '../cases/case.js';
import { Expected } from '../cases/verify.js';
import { type Workload, workloadOf } from '../cases/workload.js';
import { type Contender, type Entrant, type TimedCall, Unavailable } from '../contenders/contender.js';
import { type Clock, type Sampling, timed } from '../timing/clock.js';
import type { Preparation, PreparedCall, Request, Runner } from './runner.js';

export class InProcessRunner implements Runner {
  readonly platform: Platform;
  readonly #contenders: readonly Contender[];
  readonly #clock: Clock;
  #workload: Workload | undefined;
  readonly #entrants: Entrant[] = [];
  readonly #calls: Map<string, TimedCall> = new Map();

  constructor(platform: Platform, contenders: readonly Contender[], clock: Clock) {
    this.platform = platform;
    this.#contenders = contenders;
    this.#clock = clock;
  }

  async prepare({ contender: name, operations, dataPaths, ...setting }: Request): Promise<Preparation> {
    const contender = this.#contenders.find((one) => one.name === name);
    if (contender === undefined) return { unavailable: `'${name}' is not part of this build` };
    if (!contender.platforms.includes(this.platform)) {
      return { unavailable: `'${name}' needs ${contender.platforms.join(' or ')}` };
    }
    try {
      const workload = this.#workloadOf(setting);
      const expected = new Expected(workload); // several times the workload's size: not kept
      const entrant = await contender.enter(workload);
      this.#entrants.push(entrant);
      const { description } = entrant;
      const calls: PreparedCall[] = [];
      for (const call of entrant.calls) {
        const { operation, memory } = call;
        if (!operations.includes(operation) || !dataPaths.includes(memory)) continue;
        await call.before?.();
        const [, first] = await timed(() => call.run());
        const verdict = expected.verify(operation, await call.results(), description.accumulation?.[setting.dtype]);
        const id = `${name} ${operation} ${memory}`;
        this.#calls.set(id, call);
        calls.push({ id, operation, memory, first: description.preparation + first, verdict });
      }
      return { description, calls };
    } catch (error) {
      return reasonOf(error);
    }
  }

  sample(id: string, sampling: Sampling): Promise<readonly number[]> {
    const { run } = this.#calls.get(id)!;
    return this.#clock(id, run, sampling);
  }

  async release(): Promise<void> {
    this.#calls.clear();
    for (const entrant of this.#entrants.splice(0)) await entrant.dispose();
    this.#workload = undefined;
  }

  close(): Promise<void> {
    return this.release();
  }

  #workloadOf(setting: Setting): Workload {
    const { shape, dtype } = setting;
    if (this.#workload?.dtype !== dtype || shapeText(this.#workload.shape) !== shapeText(shape)) {
      this.#workload = workloadOf(setting);
    }
    return this.#workload;
  }
}

const skips: readonly string[] = ['BACKEND_UNAVAILABLE', 'LIMIT_EXCEEDED', 'DTYPE_MISMATCH'];

function reasonOf(error: unknown): Preparation {
  if (error instanceof Unavailable) return { unavailable: error.message };
  if (error instanceof BatchNormError && skips.includes(error.code)) return { unavailable: error.message };
  return { failed: error instanceof Error ? error.message : String(error) };
}
