// `pnpm bench`: times backends, and what they are compared with, in one run.
import { writeFile } from 'node:fs/promises';
import type { Dtype } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import { Option } from 'commander';
import { type DataPath, everyOperation, nameOfContender, type Operation, type Setting } from '../cases/case.js';
import { allShapes, quickShapes } from '../cases/shapes.js';
import { counterpartOf } from '../contenders/counterparts.js';
import { appendToHistory } from '../history/history-file.js';
import type { HistoryRecord } from '../history/record.js';
import { factsOfRun, recordsOf } from '../history/run.js';
import { Participants } from '../runners/participants.js';
import { untimedLines } from '../terminal/messages.js';
import { Progress } from '../terminal/progress.js';
import { legend, type Row, resultTable } from '../terminal/result-table.js';
import { contenderLines, type Made, meanSpeedupLines } from '../terminal/summary.js';
import { bennyClock } from '../timing/benny-clock.js';
import { type Measured, measure, type SettingOutcome, type Untimed } from '../timing/measure.js';
import { medianInterval, ratios } from '../timing/statistics.js';
import {
  command,
  dtypesOption,
  exitCodes,
  historyOption,
  Interrupted,
  onInterrupt,
  operationsOption,
  parseContenders,
  parseDataPaths,
  parseShapes,
  pathOf,
} from './flags.js';

interface Flags {
  quick?: true;
  backend?: string[];
  op: Operation[];
  shape?: number[][];
  dtype: Dtype[];
  memory: DataPath[];
  peers?: true;
  against?: string;
  browser?: true;
  chromium?: string;
  python?: string;
  json?: string;
  history: string | false;
}

const program = command(
  'bench',
  'Times every backend that runs here, checked against the oracle first, in interleaved rounds.',
)
  .option('--quick', 'four small shapes, few and short samples: within a minute')
  .option(
    '--backend <names>',
    'only these; what is no name is a family: gpujs is every gpujs-…, layer every layer-…',
    parseContenders(Participants.names),
  )
  .addOption(operationsOption())
  .option('--shape <shapes>', 'these, such as 1024x256,32x64x56x56: batch first, channels second', parseShapes)
  .addOption(dtypesOption())
  .addOption(
    new Option('--memory <kinds>', 'of host, allocated, device, readback')
      .argParser(parseDataPaths)
      .default(['host', 'allocated', 'device'], 'host,allocated,device'),
  )
  .option('--peers', 'beside tfjs, ONNX Runtime, NumPy and PyTorch, where they are installed')
  .addOption(
    new Option(
      '--against <name>',
      'also print how many times as fast as this: straightforward, pytorch (with as many threads), or a name of --backend',
    ).argParser((name) =>
      ['straightforward', 'pytorch'].includes(name) ? name : parseContenders(Participants.names)(name)[0]!,
    ),
  )
  .option('--browser', 'in Chromium, too; a backend that needs a browser runs only there')
  .addOption(
    new Option('--chromium <path>', 'the Chromium of --browser (default: the one on PATH)').env('CHROMIUM_PATH'),
  )
  .addOption(new Option('--python <path>', 'the Python of --peers (default: python3)').env('BENCH_PYTHON'))
  .option('--json <file>', 'write the results there, too')
  .addOption(historyOption('append to this history'))
  .option('--no-history', 'append to no history');

async function main(flags: Flags): Promise<number> {
  const signal = onInterrupt();
  const settings = settingsOf(flags);
  const timing = flags.quick
    ? { rounds: 7, budget: 4, sampling: { warmUp: 0.008, sampleTime: 0.001, totalTime: 0.008 } }
    : { rounds: 11, sampling: { warmUp: 0.05, sampleTime: 0.004, totalTime: 0.05 } };
  const participants = await Participants.gather({
    names: flags.backend,
    peers: flags.peers ?? false,
    against: flags.against,
    chromium: flags.browser ? { path: flags.chromium && pathOf(flags.chromium) } : undefined,
    python: flags.python,
  });
  const facts = factsOfRun(participants.chromiumVersion);
  const records: HistoryRecord[] = [];
  const untimed: Untimed[] = [];
  const rows: Row[] = [];
  const made: Made[] = [];
  try {
    for (const setting of settings) {
      const progress = new Progress(`${shapeText(setting.shape)} ${setting.dtype}`);
      let outcome: SettingOutcome;
      try {
        const { op: operations, memory: dataPaths } = flags;
        const options = { operations, dataPaths, ...timing, clock: bennyClock, signal, onProgress: progress.update };
        outcome = await measure(participants.all, setting, options);
      } finally {
        progress.stop();
      }
      const found = recordsOf(outcome.measured, facts);
      if (flags.history !== false) appendToHistory(pathOf(flags.history), found);
      records.push(...found);
      untimed.push(...outcome.untimed);
      made.push(...madeFor(outcome.measured));
      const of = found.map((record, index) => ({
        record,
        speedup: speedupOf(outcome.measured[index]!, outcome.measured, flags.against),
      }));
      rows.push(...of);
      if (of.length > 0) console.log(`\n${resultTable(inOrder(of), flags.against)}`);
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    console.error('\ninterrupted: what was finished is printed above, and in the history');
    return exitCodes.interrupted;
  } finally {
    await participants.close();
  }

  console.log(`\n${legend}`);
  for (const line of contenderLines(records, made)) console.log(line);
  if (flags.against !== undefined) for (const line of meanSpeedupLines(rows, flags.against)) console.log(line);
  for (const line of untimedLines([...participants.missing, ...untimed])) console.error(line);
  if (flags.json !== undefined) await writeJson(pathOf(flags.json), records, untimed);
  return untimed.some(({ status }) => status !== 'skipped') || records.length === 0 ? exitCodes.failure : exitCodes.ok;
}

function settingsOf({ shape, quick, dtype: dtypes }: Flags): Setting[] {
  const shapes = shape ?? (quick ? quickShapes : allShapes);
  return shapes.flatMap((shape) => dtypes.map((dtype) => ({ shape, dtype })));
}

/** Operation by operation, the fastest first. */
function inOrder(rows: readonly Row[]): Row[] {
  return rows.toSorted(
    ({ record: a }, { record: b }) =>
      everyOperation.indexOf(a.operation) - everyOperation.indexOf(b.operation) || a.seconds.median - b.seconds.median,
  );
}

function speedupOf(measured: Measured, all: readonly Measured[], against: string | undefined): Row['speedup'] {
  const other = against === undefined ? undefined : counterpartOf(measured, all, against);
  return other && medianInterval(ratios(other.times, measured.times));
}

/** Each contender is made once for a setting, whatever it is timed at. */
function madeFor(measured: readonly Measured[]): Made[] {
  const made = measured.map(({ case: one, description }): Made => ({ name: nameOfContender(one), ...description }));
  return [...new Map(made.map((one) => [one.name, one])).values()];
}

async function writeJson(path: string, records: readonly HistoryRecord[], untimed: readonly Untimed[]): Promise<void> {
  const left = untimed.map(({ status, participant, setting, operation, reason }) => ({
    status,
    contender: participant.name,
    platform: participant.runner.platform,
    ...setting,
    operation: operation ?? null,
    reason,
  }));
  await writeFile(path, `${JSON.stringify({ formatVersion: 2, records, untimed: left }, null, 2)}\n`);
}

process.exitCode = await main(program.parse().opts<Flags>());
