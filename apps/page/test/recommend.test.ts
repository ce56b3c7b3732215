// The rule, and what is said about it, on findings that are made up.
import type { CaseResult } from '@batchnorm/conformance';
import { operations } from '@batchnorm/select';
import { describe, expect, it, vi } from 'vitest';
import type { BackendName } from '../src/backends.js';
import { copyLimit } from '../src/bench/copy-limit.js';
import { shareOfLimit } from '../src/bench/spread.js';
import { repository } from '../src/links.js';
import { certaintyOf } from '../src/recommend/certainty.js';
import { inReach, isHopeless, nextToCheck, overlap, ownMemoryPays, recommend } from '../src/recommend/recommend.js';
import { answerText } from '../src/recommend/select-answer.js';
import { jsonReport } from '../src/report/json.js';
import { markdownSummary } from '../src/report/markdown.js';
import { defaultSettings } from '../src/visit/settings.js';
import { type BackendFindings, newVisit, type Timing, type Visit, withRound } from '../src/visit/visit.js';

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

/** So many seconds in the rounds; a copy took 1. */
function timing(seconds: readonly number[], changed: Partial<Timing> = {}): Timing {
  return { shape, operation, memory: 'host', seconds, limits: seconds.map(() => 1), ...changed };
}

/** A backend that works, passed, and took these seconds in the rounds. */
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
    timings: [timing(seconds)],
    troubles: [],
    ...changed,
  };
}

function visitOf(...backends: BackendFindings[]): Visit {
  const settings = { ...defaultSettings, backends: backends.map(({ name }) => name), shapes: [shape], rounds: 3 };
  return { ...newVisit(settings, { shape, operation }), state: 'done', backends };
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
    [{ results: [passed, { ...passed, status: 'failed', worst: 2 }] }, '1 of 2 checks failed'],
    [{ available: null }, 'not tried'],
    [{ troubles: [{ stage: 'conformance', code: 'DEVICE_LOST', message: 'gone' }] }, 'DEVICE_LOST: gone'],
    [{ timings: [] }, 'not timed'],
    [
      { timings: [], troubles: [{ stage: 'speed', shape, code: 'LIMIT_EXCEEDED', message: 'too large' }] },
      'LIMIT_EXCEEDED: too large',
    ],
    [{ troubles: [{ stage: 'speed', shape, code: 'DEVICE_LOST', message: 'in round 2' }] }, 'DEVICE_LOST: in round 2'],
    [
      { timings: [], troubles: [{ stage: 'speed', shape: [9, 9], code: 'HUNG', message: 'for 60 s' }] },
      'HUNG: for 60 s',
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
    const troubles = [{ stage: 'speed', shape: [9, 9], code: 'DEVICE_LOST', message: 'gone' }] as const;
    const { ranking } = recommend(visitOf(works('js', [1, 1, 1], { troubles })), shape, operation);
    expect(ranking).toHaveLength(1);
  });

  it('has an answer after the first time already, without the kit', () => {
    const { ranking } = recommend(visitOf(works('js', [1], { results: [], kitDone: false })), shape, operation);
    expect(ranking).toMatchObject([{ backend: 'js', rounds: 1, checked: false }]);
  });

  it('knows what memory of the backend is worth', () => {
    const timings = [timing([3, 3]), timing([2, 2], { memory: 'allocated' })];
    const [best] = recommend(visitOf(works('wasm', [], { timings })), shape, operation).ranking;
    expect(best!.gainOfMemory).toBe(1.5);
    expect(ownMemoryPays(best!)).toBe(true);
    expect(ownMemoryPays({ ...best!, gainOfMemory: 1.1 })).toBe(false);
    const [plain] = recommend(visitOf(works('js', [3])), shape, operation).ranking;
    expect(plain!.gainOfMemory).toBe(null);
    expect(ownMemoryPays(plain!)).toBe(false);
  });
});

describe('what is measured further', () => {
  const unchecked = { kitDone: false, results: [] };

  it('is what takes at most 4 times as long as the fastest', () => {
    const visit = visitOf(works('js', [4, 4]), works('wasm', [1, 1]), works('gpujs-cpu', [5, 5]));
    expect(inReach(recommend(visit, shape, operation))).toEqual(new Set(['wasm', 'js']));
  });

  it('is checked from the fastest on, until nothing is left that may be recommended', () => {
    const [js, wasm, slow] = [
      works('js', [2], unchecked),
      works('wasm', [1], unchecked),
      works('webgpu', [9], unchecked),
    ];
    expect(nextToCheck(visitOf(js, wasm, slow))).toBe('wasm');
    expect(nextToCheck(visitOf(js, { ...wasm, kitDone: true }, slow))).toBe('js');
    expect(nextToCheck(visitOf({ ...js, kitDone: true }, { ...wasm, kitDone: true }, slow))).toBe(undefined);
  });

  it('is slower, too, where the fastest failed', () => {
    const failed = works('wasm', [1], { results: [{ ...passed, status: 'failed' }] });
    expect(nextToCheck(visitOf(failed, works('webgpu', [9], unchecked)))).toBe('webgpu');
  });

  it('is everything that works, or nothing, as the visitor chose', () => {
    const visit = visitOf(
      works('wasm', [1]),
      works('webgpu', [9], { ...unchecked, troubles: [{ stage: 'availability', code: null, message: '' }] }),
      works('gpujs-cpu', [9], unchecked),
    );
    const choosing = (kit: 'all' | 'off') => nextToCheck({ ...visit, settings: { ...visit.settings, kit } });
    expect(choosing('all')).toBe('gpujs-cpu');
    expect(choosing('off')).toBe(undefined);
  });

  it('is not what is hopeless on larger data', () => {
    const onAll = (seconds: number) => operations.map((operation) => timing([seconds], { operation }));
    const visitWith = (seconds: number, kit: 'fast' | 'all' = 'fast') => {
      const visit = visitOf(works('js', [], { timings: onAll(1) }), works('webgpu', [], { timings: onAll(seconds) }));
      return { ...visit, settings: { ...visit.settings, kit, shapes: [[32, 10], shape, [1024, 256]] } };
    };
    expect(isHopeless(visitWith(11), 'webgpu', [32, 10])).toBe(true);
    expect(isHopeless(visitWith(11), 'webgpu', [1024, 256])).toBe(false);
    expect(isHopeless(visitWith(9), 'webgpu', [32, 10])).toBe(false);
    expect(isHopeless(visitWith(11, 'all'), 'webgpu', [32, 10])).toBe(false);
    const { out } = recommend(visitWith(11), [32, 10], operation);
    expect(out).toContainEqual({
      backend: 'webgpu',
      reason: 'not timed: on larger data it took more than 10 times as long as the fastest',
    });
  });
});

describe('how sure the answer is', () => {
  const certainty = (changed: Partial<BackendFindings>, state: Visit['state'], seconds = [1, 1, 1]) => {
    const visit = { ...visitOf(works('js', seconds, changed)), state };
    return certaintyOf(visit, recommend(visit, shape, operation).ranking[0]!);
  };

  it('says how often it was timed, and how far it was checked', () => {
    const unchecked = { kitDone: false, results: [] };
    expect(certainty(unchecked, 'running', [1])).toEqual({
      sure: false,
      text: 'So far: timed once, its result was right. Still measuring.',
    });
    expect(certainty({ kitDone: false }, 'stopped', [1, 2]).text).toBe(
      'Stopped early: timed 2 times, right in 1 checks.',
    );
    expect(certainty({ kitDone: false }, 'stopped').sure).toBe(false);
    expect(certainty({}, 'running')).toEqual({ sure: true, text: 'Timed 3 times, right in all 1 checks.' });
  });
});

it('holds each operation against a copy of the bytes that it has to move', () => {
  // A copy of an activation reads it and writes it; a backward reads two and writes one.
  expect(copyLimit('forward-training', 2)).toBe(2);
  expect(copyLimit('backward', 2)).toBe(3);
  expect(copyLimit('training-step', 2)).toBe(5);
  expect(shareOfLimit(timing([4, 8, 2], { limits: [2, 2, 2] })).median).toBe(0.5);
});

it('adds rounds to the timing that they belong to', () => {
  const measured = { shape, operation, memory: 'host' } as const;
  const once = withRound([], measured, 1, 2);
  const twice = withRound(once, { ...measured, shape: [...shape] }, 3, 4);
  const other = withRound(twice, { ...measured, shape: [1, 1] }, 5, 6);
  const elsewhere = withRound(other, { ...measured, memory: 'allocated' }, 7, 8);
  expect(elsewhere).toEqual([
    { ...measured, seconds: [1, 3], limits: [2, 4] },
    { ...measured, shape: [1, 1], seconds: [5], limits: [6] },
    { ...measured, memory: 'allocated', seconds: [7], limits: [8] },
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
    expect(report).toMatchObject({ formatVersion: 3, complete: true, device: { browser: 'Firefox 150', cores: 4 } });
    expect(report.backends[0].counts).toEqual({ passed: 1, failed: 0, refused: 1, skipped: 1 });
    expect(report.backends[0].timings[0]).toMatchObject({
      seconds: [2, 2, 2],
      time: { median: 2 },
      shareOfLimit: { median: 0.5 },
    });
    expect(report.recommendations).toHaveLength(4);
  });

  it('Markdown has no link and no HTML, and a table that holds together', () => {
    const summary = markdownSummary(visit);
    expect(summary).toContain('backward of 256×64: **js**, 2.00 s');
    expect(summary).not.toMatch(/https?:\/\/|[^\\]<b/);
    const rows = summary.split('\n').filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(4);
    for (const line of rows) expect(line.match(/(?<!\\)\|/g), line).toHaveLength(6);
    expect(rows[2]).toContain('| 1 pass, 1 refused DTYPE\\_MISMATCH, 1 skip |');
    expect(rows[2]).toContain('E\\|1 on cpu, 2 threads');
  });
});

it('says what a program would choose', () => {
  const report = { chosen: 'wasm', candidates: [{ name: 'wasm', milliseconds: 3 }] } as never;
  expect(answerText(report, 'wasm', 1)).toBe('It chose WebAssembly, too: 3.00 ms. Loading and choosing took 1.00 s.');
  expect(answerText(report, 'js', 1)).toContain('It chose WebAssembly: 3.00 ms.');
});

it('leads to the repository that the packages name', async () => {
  const { default: published } = await import('../../../packages/batchnorm/package.json');
  expect(published.repository.url).toBe(`git+${repository}.git`);
});
