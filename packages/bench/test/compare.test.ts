// Two trees against each other, with sides whose speed is known.
import { describe, expect, it } from 'vitest';
import { type CompareOptions, compareTrees } from '../src/compare/compare.js';
import type { Preparation, Request, Runner } from '../src/runners/runner.js';
import { comparisonMarkdown, summaryOf } from '../src/terminal/comparison-table.js';

const description = {
  engine: 'test',
  threads: 1,
  accumulation: { float32: 'float64', float64: 'float64' } as const,
  creation: 0,
  preparation: 0,
};
const right = { overBound: 0.1, ulps: 0.5, wrong: null };

/** A side that says what its calls take. */
function side(seconds: () => number, prepare?: (request: Request) => Preparation): Runner {
  const calls = (request: Request) =>
    request.operations.map((operation) => ({
      id: operation,
      operation,
      memory: 'host' as const,
      first: 0,
      verdict: right,
    }));
  return {
    platform: 'node',
    prepare: async (request) => prepare?.(request) ?? { description, calls: calls(request) },
    sample: async () => [seconds(), seconds(), seconds(), seconds()],
    release: async () => {},
    close: async () => {},
  };
}

const options: CompareOptions = {
  contenders: ['js'],
  settings: [{ shape: [8, 4], dtype: 'float32' }],
  operations: ['forward-training', 'backward'],
  pairs: 4,
  rounds: 3,
  sampling: { warmUp: 0, sampleTime: 0, totalTime: 0 },
  threshold: 0.1,
  patience: 1,
};

const compare = (base: Runner, head: Runner, changes: Partial<CompareOptions> = {}) =>
  compareTrees((name) => (name === 'base' ? base : head), { ...options, ...changes });

describe('a comparison', () => {
  it('sees what is slower, faster and unchanged', async () => {
    const answers = async (factor: number) => {
      const { compared } = await compare(
        side(() => 1),
        side(() => factor),
      );
      return compared.map(({ answer }) => answer);
    };
    expect(await answers(1.2)).toEqual(['slower', 'slower']);
    expect(await answers(1.05)).toEqual(['unchanged', 'unchanged']);
    expect(await answers(0.5)).toEqual(['faster', 'faster']);
  });

  it('measures again what is slower or too noisy, and only that', async () => {
    let calls = 0;
    const steady = side(() => 1);
    const jumping = side(() => (Math.floor(calls++ / 4) % 2 === 0 ? 0.5 : 2));
    const { compared } = await compare(steady, jumping);
    expect(compared.map(({ answer }) => answer)).toEqual(['too noisy to tell', 'too noisy to tell']);
    // 4 samples × 2 cases × 3 rounds × 4 pairs × 2 attempts.
    expect(calls).toBe(4 * 2 * 3 * 4 * 2);
  });

  it('says what is only in one of them, and what head gets wrong', async () => {
    const absent = side(
      () => 1,
      () => ({ unavailable: 'there is no packages/backend-js' }),
    );
    expect(
      await compare(
        absent,
        side(() => 1),
      ),
    ).toMatchObject({
      compared: [],
      skipped: ['js in base: there is no packages/backend-js'],
    });
    const wrong = side(
      () => 1,
      ({ operations }) => ({
        description,
        calls: operations.map((operation) => ({
          id: operation,
          operation,
          memory: 'host',
          first: 0,
          verdict: { ...right, wrong: operation === 'backward' ? 'dx of channel 0' : null },
        })),
      }),
    );
    const found = await compare(
      side(() => 1),
      wrong,
    );
    expect(found.compared.map(({ name }) => name)).toEqual(['forward-training 8×4 float32 js host']);
    expect(found.wrong).toEqual(['backward 8×4 float32 js host: dx of channel 0']);
  });

  it('stops at a signal', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(
      compare(
        side(() => 1),
        side(() => 1),
        { signal },
      ),
    ).rejects.toThrow('enough');
  });

  it('is a Markdown table, with what needs attention first', async () => {
    const head = side(() => 1, undefined);
    const { compared } = await compare(
      side(() => 1),
      { ...head, sample: async (id) => [id === 'backward' ? 2 : 1] },
    );
    expect(summaryOf(compared)).toBe('1 slower, 1 unchanged');
    const rows = comparisonMarkdown('title', compared, ['a note'])
      .split('\n')
      .filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(4);
    expect(rows[2]).toMatch(/\| ✗ \| js backward 8×4 float32 \|.*\| slower \|/);
    for (const row of rows) expect(row.match(/\|/g)).toHaveLength(7);
  });
});
