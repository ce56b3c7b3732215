// Correctness before speed: what is right passes on rows and on runs, and what is wrong is reported and never timed.
import { describe, expect, it } from 'vitest';
import { dataPaths, everyOperation, operations } from '../src/cases/case.js';
import { Expected } from '../src/cases/verify.js';
import { workloadOf } from '../src/cases/workload.js';
import type { Contender } from '../src/contenders/contender.js';
import { ours, straightforward } from '../src/contenders/contenders.js';
import { peersInNode } from '../src/contenders/peers/in-node.js';
import { InProcessRunner } from '../src/runners/in-process.js';
import type { Clock } from '../src/timing/clock.js';
import { measure } from '../src/timing/measure.js';
import { forwardOnly } from './contenders.js';

/** A clock that has seen nothing but what it is asked to time. */
function noting(names: string[]): Clock {
  return async (name, run) => {
    names.push(name);
    await run();
    return [1e-6];
  };
}

const rows = { shape: [40, 9], dtype: 'float32' } as const;
const runs = { shape: [3, 9, 4, 5], dtype: 'float32' } as const;

describe('every contender that runs here', () => {
  const here = [...ours, ...straightforward, ...peersInNode].filter(({ platforms }) => platforms.includes('node'));
  it.each(here.map((one): [string, Contender] => [one.name, one]))(
    '%s is right on rows and on runs',
    async (name, contender) => {
      const runner = new InProcessRunner('node', [contender], noting([]));
      const reasons: string[] = [];
      for (const setting of [rows, runs]) {
        const found = await runner.prepare({ contender: name, ...setting, operations, dataPaths });
        if ('failed' in found) throw new Error(found.failed);
        if ('unavailable' in found) reasons.push(found.unavailable);
        else
          expect(found.calls.flatMap(({ id, verdict }) => (verdict.wrong === null ? [] : [id, verdict]))).toEqual([]);
        await runner.release();
      }
      // Not here, or not for this setting: the reason is what users are told.
      for (const reason of reasons) expect(reason).not.toBe('');
    },
  );
});

describe('a training step with a residual and ReLU', () => {
  const addRelu = everyOperation.filter((operation) => !(operations as readonly string[]).includes(operation));

  it.each(['js', 'layer-js', 'layer-wasm-1'])('%s is right on rows and on runs, fused and apart', async (name) => {
    const contender = ours.find((one) => one.name === name)!;
    const runner = new InProcessRunner('node', [contender], noting([]));
    for (const setting of [rows, runs]) {
      const found = await runner.prepare({ contender: name, ...setting, operations: addRelu, dataPaths: ['host'] });
      if (!('calls' in found)) throw new Error(JSON.stringify(found));
      expect(found.calls.map(({ operation, verdict }) => [operation, verdict.wrong])).toEqual([
        ['add-relu-step', null],
        ['add-relu-apart', null],
      ]);
      await runner.release();
    }
  });

  it('is right on the device', async () => {
    const contender = ours.find(({ name }) => name === 'wasm-1')!;
    const runner = new InProcessRunner('node', [contender], noting([]));
    for (const setting of [rows, runs]) {
      const request = {
        contender: 'wasm-1',
        ...setting,
        operations: addRelu,
        dataPaths: ['device', 'readback'],
      } as const;
      const found = await runner.prepare(request);
      if (!('calls' in found)) throw new Error(JSON.stringify(found));
      expect(found.calls.map(({ operation, memory, verdict }) => [operation, memory, verdict.wrong])).toEqual([
        ['add-relu-step', 'device', null],
        ['add-relu-step', 'readback', null],
      ]);
      await runner.release();
    }
  });

  it('is wrong where a gradient passes though y is 0, or does not though y is above 0', async () => {
    const workload = workloadOf(rows);
    const kernels = ours.find((one) => one.name === 'js')!;
    const entrant = await kernels.enter(workload);
    const fused = entrant.calls.find(({ operation }) => operation === 'add-relu-step')!;
    await fused.before!();
    await fused.run();
    const right = await fused.results();
    const expected = new Expected(workload);
    expect(expected.verify('add-relu-step', right, 'float64').wrong).toBeNull();
    for (const isOn of [true, false]) {
      const k = Array.from(right.y!).findIndex((value) => value > 0 === isOn);
      const dresidual = Array.from(right.dresidual!);
      dresidual[k] = isOn ? 0 : workload.dy[k]!;
      expect(expected.verify('add-relu-step', { ...right, dresidual }, 'float64').wrong).toMatch(
        /^dresidual of channel/,
      );
    }
    await entrant.dispose();
  });
});

describe('verification', () => {
  it('looks at every element of every result of an operation', () => {
    const workload = workloadOf({ shape: [12, 5], dtype: 'float64' });
    const expected = new Expected(workload);
    const zeros = new Float64Array(60);
    for (const operation of operations) {
      expect(expected.verify(operation, {}, 'float64').wrong).toMatch(/^no /);
      const results = { y: zeros, dx: zeros, dgamma: zeros, dbeta: zeros };
      expect(expected.verify(operation, results, 'float64').overBound).toBeGreaterThan(1e6);
    }
  });

  it('names the result, the channel and the place', async () => {
    const contender = forwardOnly('wrong', (y) => {
      y[3 * 9 + 2]! += 0.01;
    });
    const runner = new InProcessRunner('node', [contender], noting([]));
    const found = await runner.prepare({ contender: 'wrong', ...rows, operations, dataPaths });
    expect('calls' in found && found.calls[0]!.verdict.wrong).toMatch(/^y of channel 2\[3\]: received .*, expected/);
  });
});

describe('a wrong backend', () => {
  it('is reported and not timed, and the others are', async () => {
    const timed: string[] = [];
    const clock = noting(timed);
    const wrong = forwardOnly('wrong', (y) => {
      y[5] = Number.NaN;
    });
    const right = forwardOnly('right');
    const runner = new InProcessRunner('node', [wrong, right], clock);
    const participants = [wrong, right].map(({ name, kind }) => ({ name, kind, runner }));
    const sampling = { warmUp: 0, sampleTime: 1e-6, totalTime: 1e-6 };
    const outcome = await measure(participants, rows, { operations, dataPaths, rounds: 2, sampling, clock });
    expect(outcome.measured.map(({ case: { contender } }) => contender)).toEqual(['right']);
    expect(outcome.untimed).toMatchObject([{ status: 'wrong', participant: { name: 'wrong' } }]);
    expect(wrong.runs).toBe(1);
    expect(new Set(timed)).toEqual(new Set(['right forward-training host', 'copy', 'reference']));
  });

  it('is one that fails while it is timed, too', async () => {
    const failing: Clock = async (name, run) => {
      if (name.startsWith('breaks')) throw new Error('broken');
      await run();
      return [1e-6];
    };
    const contenders = [forwardOnly('breaks'), forwardOnly('holds')];
    const runner = new InProcessRunner('node', contenders, failing);
    const participants = contenders.map(({ name, kind }) => ({ name, kind, runner }));
    const sampling = { warmUp: 0, sampleTime: 1e-6, totalTime: 1e-6 };
    const outcome = await measure(participants, rows, { operations, dataPaths, rounds: 1, sampling, clock: failing });
    expect(outcome.measured.map(({ case: { contender } }) => contender)).toEqual(['holds']);
    expect(outcome.untimed).toMatchObject([{ status: 'failed', reason: 'broken' }]);
  });
});
