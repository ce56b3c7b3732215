// The gpu.js backend: training on device tensors beside the straightforward gpu.js version, mode by mode.
import type { GpuJsMode } from '@batchnorm/backend-gpujs';
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import type { Execution } from '@batchnorm/core-api';
import Table from 'cli-table3';
import { formatSpread } from '../format.js';
import { type Spread, speedup, spreadOf } from '../timing.js';
import type { BenchBrowser } from './browser.js';
import { type Comparison, compare, type Request } from './compare.js';
import { type Variant, variants } from './training-steps.js';

const shapes: readonly (readonly number[])[] = [
  [1024, 256],
  [4096, 512],
];

export type Platform = 'node' | 'chromium';

const modesOf: Readonly<Record<Platform, readonly GpuJsMode[]>> = {
  node: ['cpu', 'webasm', 'headlessgl'],
  chromium: ['webasm', 'webgl2', 'webgpu'],
};

export const gpuModes: readonly GpuJsMode[] = [...new Set(Object.values(modesOf).flat())];

export interface GpuFlags {
  /** In Chromium, too. */
  readonly browser: boolean;
  readonly modes: readonly string[] | undefined;
  readonly rounds: number;
  /** Seconds. */
  readonly sampleTime: number;
}

export interface GpuRow {
  readonly platform: Platform;
  readonly mode: GpuJsMode;
  readonly shape: readonly number[];
  /** Why there is nothing else. */
  readonly skipped: string | null;
  readonly execution: Execution | null;
  readonly milliseconds: Readonly<Record<Variant, Spread>> | null;
  /** Over the straightforward version, round by round. */
  readonly speedup: Readonly<Record<Variant, Spread>> | null;
}

type Run = (request: Request) => Promise<Comparison | { unavailable: string }>;

/** Prints a table. A mode that does not run here is a row that says why. Errors: an `Error` when a result is wrong. */
export async function benchGpuJs(flags: GpuFlags): Promise<GpuRow[]> {
  const rows = [...(await onPlatform('node', compare, flags)), ...(flags.browser ? await inChromium(flags) : [])];
  console.log(`\n${tableOf(rows)}`);
  const reasons = rows.flatMap((row) => (row.skipped === null ? [] : [`${nameOf(row)} skipped: ${row.skipped}`]));
  for (const line of new Set(reasons)) console.log(line);
  console.log(
    'Milliseconds of a training step: forward and backward of the layer, x and dy on the device. Medians over rounds; in brackets the\n' +
      'range of eight rounds in ten. ×: over the straightforward version, round by round. Without readback: y and dx stay on the device;\n' +
      'dgamma and dbeta are read, so that the step is done when the clock stops.',
  );
  return rows;
}

async function inChromium(flags: GpuFlags): Promise<GpuRow[]> {
  const path = chromiumPath();
  if (path === undefined) return onPlatform('chromium', async () => ({ unavailable: chromiumMissing }), flags);
  const { BenchBrowser } = await import('./browser.js');
  const browser: BenchBrowser = await BenchBrowser.start(path);
  try {
    return await onPlatform('chromium', (request) => browser.compare(request), flags);
  } finally {
    await browser.close();
  }
}

/** One mode after another, each shape in a run of its own. */
async function onPlatform(platform: Platform, run: Run, { modes, rounds, sampleTime }: GpuFlags): Promise<GpuRow[]> {
  const results: GpuRow[] = [];
  for (const mode of modesOf[platform].filter((one) => modes?.includes(one) ?? true)) {
    for (const shape of shapes) {
      process.stderr.write(`${mode} in ${platform}, ${shape.join('×')}\n`);
      const found = await run({ mode, shape, rounds, sampleTime });
      results.push({ platform, mode, shape, ...('unavailable' in found ? skipped(found.unavailable) : timed(found)) });
    }
  }
  return results;
}

function skipped(reason: string): Omit<GpuRow, 'platform' | 'mode' | 'shape'> {
  return { skipped: reason, execution: null, milliseconds: null, speedup: null };
}

function timed({ execution, times }: Comparison): Omit<GpuRow, 'platform' | 'mode' | 'shape'> {
  const forEach = (of: (variant: Variant) => Spread) =>
    Object.fromEntries(variants.map((variant) => [variant, of(variant)])) as Record<Variant, Spread>;
  return {
    skipped: null,
    execution,
    milliseconds: forEach((variant) => spreadOf(times[variant].map((seconds) => seconds * 1e3))),
    speedup: forEach((variant) => speedup(times.straightforward, times[variant])),
  };
}

function nameOf({ mode, platform }: GpuRow): string {
  return platform === 'node' ? mode : `${mode}@${platform}`;
}

function tableOf(rows: readonly GpuRow[]): string {
  const table = new Table({
    head: ['mode', 'shape', 'straightforward', 'without readback', '×', 'with readback', '×'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  for (const row of rows) {
    const { shape, milliseconds, speedup } = row;
    const name = [nameOf(row), shape.join('×')];
    if (milliseconds === null || speedup === null) {
      table.push([...name, 'skipped', '', '', '', '']);
      continue;
    }
    const [plain, ...ours] = variants;
    table.push([
      ...name,
      formatSpread(milliseconds[plain], 1),
      ...ours.flatMap((variant) => [formatSpread(milliseconds[variant], 1), formatSpread(speedup[variant], 1)]),
    ]);
  }
  return table.toString();
}
