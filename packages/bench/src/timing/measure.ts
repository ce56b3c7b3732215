// One setting: every contender is prepared and verified, and what is right is timed in interleaved rounds, with the
// copies that are the limits and the fixed reference case among them.
import type { Case, DataPath, Operation, Setting } from '../cases/case.js';
import { bytesMoved } from '../cases/streams.js';
import type { Verdict } from '../cases/verify.js';
import type { Description, Kind } from '../contenders/contender.js';
import { Copy } from '../limits/copy.js';
import { Reference } from '../limits/reference.js';
import type { Runner } from '../runners/runner.js';
import type { Clock, Sampling } from './clock.js';
import { inRounds, type Timed } from './rounds.js';

/** A contender, where it runs. */
export interface Participant {
  readonly name: string;
  readonly kind: Kind;
  readonly runner: Runner;
}

export interface Measured {
  readonly case: Case;
  readonly kind: Kind;
  readonly description: Description;
  readonly verdict: Verdict;
  /** Seconds. */
  readonly first: number;
  /** Seconds per call in each round: of the case, of its copy, and of the reference case. */
  readonly times: readonly number[];
  readonly copies: readonly number[];
  readonly references: readonly number[];
}

/** What was not timed, and why. `skipped` is no failure; `wrong` and `failed` are. */
export interface Untimed {
  readonly status: 'skipped' | 'wrong' | 'failed';
  readonly participant: Pick<Participant, 'name' | 'runner'>;
  readonly operation?: Operation;
  readonly setting: Setting;
  readonly reason: string;
}

export interface MeasureOptions {
  readonly operations: readonly Operation[];
  readonly dataPaths: readonly DataPath[];
  readonly rounds: number;
  /** Seconds of timing after which no round begins, but for the first three. */
  readonly budget?: number | undefined;
  readonly sampling: Sampling;
  /** Of copies and the reference case. */
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** After each contender that is prepared and each sample that is taken; `of` is known when all are prepared. */
  readonly onProgress?: (text: string, done: number, of: number) => void;
}

export interface SettingOutcome {
  readonly measured: readonly Measured[];
  readonly untimed: readonly Untimed[];
}

type Prepared = Omit<Measured, 'times' | 'copies' | 'references'> & Timed;

/** Errors: the signal's reason. */
export async function measure(
  participants: readonly Participant[],
  setting: Setting,
  options: MeasureOptions,
): Promise<SettingOutcome> {
  const { clock, rounds, budget, sampling, signal, onProgress } = options;
  const untimed: Untimed[] = [];
  try {
    const prepared: Prepared[] = [];
    for (const participant of participants) {
      signal?.throwIfAborted();
      onProgress?.(`checking ${participant.name}`, 0, 0);
      prepared.push(...(await prepare(participant, setting, options, untimed)));
    }
    const copies = new Map<number, Timed>();
    for (const { case: one } of prepared) {
      const bytes = bytesMoved(one);
      if (!copies.has(bytes)) copies.set(bytes, onClock(clock, 'copy', new Copy(bytes), sampling));
    }
    const reference = onClock(clock, 'reference', new Reference(), sampling);
    const all: readonly Timed[] = [...prepared, ...copies.values(), reference];
    let done = 0;
    const onSample = () => onProgress?.('timing', ++done, all.length * rounds);
    const times = prepared.length === 0 ? [] : await inRounds(all, { rounds, budget, onSample, signal });
    const timesOf = (timed: Timed) => times[all.indexOf(timed)]!;
    const measured = prepared
      .filter((one) => timesOf(one).every(Number.isFinite))
      .map(
        (one): Measured => ({
          ...one,
          times: timesOf(one),
          copies: timesOf(copies.get(bytesMoved(one.case))!),
          references: timesOf(reference),
        }),
      );
    return { measured, untimed };
  } finally {
    for (const runner of new Set(participants.map(({ runner }) => runner))) await runner.release().catch(() => {});
  }
}

/** What can be timed; the rest goes to `untimed`. */
async function prepare(
  participant: Participant,
  setting: Setting,
  { operations, dataPaths, sampling }: MeasureOptions,
  untimed: Untimed[],
): Promise<Prepared[]> {
  const { name, kind, runner } = participant;
  const found = await runner.prepare({ contender: name, ...setting, operations, dataPaths });
  const leaveOut = (status: Untimed['status'], reason: string, operation?: Operation) =>
    untimed.push({ status, participant, setting, reason, ...(operation && { operation }) });
  if ('unavailable' in found) leaveOut('skipped', found.unavailable);
  else if ('failed' in found) leaveOut('failed', found.failed);
  if (!('calls' in found)) return [];
  if (found.calls.length === 0) leaveOut('skipped', `it has none of ${operations} in ${dataPaths}`);
  return found.calls.flatMap(({ id, operation, memory, first, verdict }) => {
    if (verdict.wrong !== null) {
      leaveOut('wrong', verdict.wrong, operation);
      return [];
    }
    const sample = () =>
      runner.sample(id, sampling).catch((error: Error) => {
        leaveOut('failed', error.message, operation);
        return [Number.NaN];
      });
    const one: Case = { ...setting, operation, contender: name, platform: runner.platform, memory };
    return [{ case: one, kind, description: found.description, verdict, first, sample }];
  });
}

function onClock(clock: Clock, name: string, work: { run(): void }, sampling: Sampling): Timed {
  return { sample: () => clock(name, () => work.run(), sampling) };
}
