// The rule, and what is said about it, on findings that are made up.
import type { CaseResult } from '@batchnorm/conformance';
import { describe, expect, it, vi } from 'vitest';
import type { BackendName } from '../src/backends.js';
import { copyLimit } from '../src/bench/copy-limit.js';
import { shareOfLimit } from '../src/bench/spread.js';
import { codeFor } from '../src/recommend/code.js';
import { overlap, recommend } from '../src/recommend/recommend.js';
import { answerText } from '../src/recommend/select-answer.js';
import { jsonReport } from '../src/report/json.js';
import { markdownSummary } from '../src/report/markdown.js';
import { defaultSettings } from '../src/visit/settings.js';
import { type BackendFindings, newVisit, type Visit, withRound } from '../src/visit/visit.js';

vi.stubGlobal('navigator', { userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0', hardwareConcurrency: 4 });
vi.stubGlobal('crossOriginIsolated', true);

const shape = [256, 64];
const operation = 'backward';
const passed: CaseResult = {
  group: 'golden',
  source: 'pytorch.json',
  name: 'case',
  dtype: 'float32',
  cell: null,
  status: 'passed',
  code: null,
  worst: 0.25,
  ulps: 1.5,
  where: 'y',
  messages: [],
};

/** A backend that works, passed, and took these seconds in the rounds; a copy took 1. */
function works(name: BackendName, seconds: readonly number[], changed: Partial<BackendFindings> = {}): BackendFindings {
  return {
    name,
    available: {
      execution: {
        engine: 'E|1',
        device: 'cpu',
        threads: 2,
        accumulation: { float32: 'float64' },
        fallbackReason: null,
      },
      capabilities: { dtypes: ['float32'], deviceTensors: false, deterministic: true, limits: { elements: 1e6 } },
    },
    plan: [],
    results: [passed],
    kitDone: true,
    verified: {},
    timings: [{ shape, operation, seconds, limits: seconds.map(() => 1) }],
    troubles: [],
    ...changed,
  };
}

function visitOf(...backends: BackendFindings[]): Visit {
  const settings = { ...defaultSettings, backends: backends.map(({ name }) => name), shapes: [shape], rounds: 3 };
  return { ...newVisit(settings), state: 'done', backends };
}

describe('recommend', () => {
  it('ranks by the median, not by the best round', () => {
    const { ranking, out } = recommend(
      visitOf(works('js', [5, 5, 5]), works('gpujs-cpu', [1, 6, 7])),
      shape,
      operation,
    );
    expect(ranking.map(({ backend }) => backend)).toEqual(['js', 'gpujs-cpu']);
    expect(out).toEqual([]);
    expect(overlap(ranking[0]!, ranking[1]!)).toBe(true);
  });

  it.for<[Partial<BackendFindings>, string]>([
    [{ results: [passed, { ...passed, status: 'failed', worst: 2 }] }, '1 of 2 cases failed'],
    [{ kitDone: false }, 'not checked to the end'],
    [{ available: null }, 'not probed'],
    [{ troubles: [{ stage: 'conformance', code: 'DEVICE_LOST', message: 'gone' }] }, 'DEVICE_LOST: gone'],
    [{ timings: [] }, 'not timed'],
    [
      { timings: [], troubles: [{ stage: 'speed', code: 'LIMIT_EXCEEDED', message: 'too large' }] },
      'LIMIT_EXCEEDED: too large',
    ],
  ])('leaves out the fastest with %o', ([changed, reason]) => {
    const { ranking, out } = recommend(
      visitOf(works('js', [5, 5, 5]), works('gpujs-cpu', [1, 1, 1], changed)),
      shape,
      operation,
    );
    expect(ranking.map(({ backend }) => backend)).toEqual(['js']);
    expect(out).toEqual([{ backend: 'gpujs-cpu', reason }]);
  });

  it('counts times of this shape, although the device was lost on another', () => {
    const troubles = [{ stage: 'speed', code: 'DEVICE_LOST', message: 'gone' }] as const;
    const { ranking } = recommend(visitOf(works('js', [1, 1, 1], { troubles })), shape, operation);
    expect(ranking).toHaveLength(1);
  });

  it('needs no kit where the visitor left it out', () => {
    const visit = visitOf(works('js', [1, 1, 1], { results: [], kitDone: false }));
    const without = { ...visit, settings: { ...visit.settings, kit: false } };
    expect(recommend(without, shape, operation).ranking).toHaveLength(1);
  });
});

it('gives three lines of code', () => {
  expect(codeFor('gpujs-webgpu', [8, 64, 28, 28])).toBe(
    `import { createGpuJsBackend } from '@batchnorm/backend-gpujs';
import { BatchNorm } from '@batchnorm/core-api';
const layer = new BatchNorm({ backend: await createGpuJsBackend({ mode: 'webgpu' }), numFeatures: 64 });`,
  );
  expect(codeFor('wasm', shape)).toContain('backend: await createWasmBackend(), numFeatures: 64');
});

it('holds each operation against a copy of the bytes that it has to move', () => {
  // A copy of an activation reads it and writes it; a backward reads two and writes one.
  expect(copyLimit('forward-training', 2)).toBe(2);
  expect(copyLimit('backward', 2)).toBe(3);
  expect(copyLimit('training-step', 2)).toBe(5);
  const timing = { shape, operation, seconds: [4, 8, 2], limits: [2, 2, 2] } as const;
  expect(shareOfLimit(timing).median).toBe(0.5);
});

it('adds rounds to the timing that they belong to', () => {
  const once = withRound([], { shape, operation }, 1, 2);
  const twice = withRound(once, { shape: [...shape], operation }, 3, 4);
  const other = withRound(twice, { shape: [1, 1], operation }, 5, 6);
  expect(other).toEqual([
    { shape, operation, seconds: [1, 3], limits: [2, 4] },
    { shape: [1, 1], operation, seconds: [5], limits: [6] },
  ]);
});

describe('reports', () => {
  const visit = visitOf(
    works('js', [2, 2, 2], {
      results: [
        passed,
        { ...passed, status: 'refused', code: 'DTYPE_MISMATCH' },
        { ...passed, status: 'skipped', messages: ['no need'] },
      ],
    }),
    works('gpujs-cpu', [1, 1, 1], {
      available: null,
      results: [],
      timings: [],
      troubles: [{ stage: 'availability', code: 'BACKEND_UNAVAILABLE', message: 'see https://example.org <b>' }],
    }),
  );

  it('JSON has all rounds, and what is recommended for each shape and operation', () => {
    const report = JSON.parse(jsonReport(visit));
    expect(report).toMatchObject({ formatVersion: 2, complete: true, device: { browser: 'Firefox 150', cores: 4 } });
    expect(report.backends[0].counts).toEqual({ passed: 1, failed: 0, refused: 1, skipped: 1 });
    expect(report.backends[0].timings[0]).toMatchObject({
      seconds: [2, 2, 2],
      time: { median: 2 },
      shareOfLimit: { median: 0.5 },
    });
    expect(report.recommendations).toHaveLength(4);
  });

  it('Markdown has no link and no HTML, and a table that holds together', () => {
    const summary = markdownSummary(visit, { shape, operation });
    expect(summary).toContain('backward of 256×64: **js**, 2.00 s');
    expect(summary).not.toMatch(/https?:\/\/|[^\\]<b/);
    const rows = summary.split('\n').filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(4);
    for (const line of rows) expect(line.match(/(?<!\\)\|/g), line).toHaveLength(6);
    expect(rows[2]).toContain('| 1 pass, 1 refused DTYPE\\_MISMATCH, 1 skip |');
    expect(rows[2]).toContain('E\\|1 on cpu, 2 threads');
  });
});

describe('what selectBackend answers', () => {
  const report = (milliseconds: number, allocatedMilliseconds: number | null) =>
    ({ chosen: 'wasm', candidates: [{ name: 'wasm', milliseconds, allocatedMilliseconds }] }) as never;

  it('recommends tensors of the backend where they pay, with the line of code', () => {
    const text = answerText(report(3, 1.5), { best: 'wasm', shape: [1024, 256] }, 1);
    expect(text).toContain('takes wasm, too: 3.00 ms a call');
    expect(text).toContain('2.0 times as fast where x.data lies in its memory: x = layer.empty([1024,256])');
  });

  it.each([null, 2.9])('and says nothing of them where they do not (%s ms)', (allocated) => {
    expect(answerText(report(3, allocated), { best: 'js', shape: [1024, 256] }, 1)).not.toContain('empty');
  });
});
