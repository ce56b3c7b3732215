// What `pnpm bench` prints after its tables: what ran, and geometric means over all cases.
import { nameOfContender } from '../cases/case.js';
import type { Instantiation } from '../contenders/instantiation.js';
import { shortCommit } from '../history/commit.js';
import type { HistoryRecord } from '../history/record.js';
import { geometricMean } from '../timing/statistics.js';
import { formatNumber } from './format.js';
import type { Row } from './result-table.js';

export interface Made {
  /** Seconds that making the backend took, each time. */
  readonly creation: number;
  readonly instantiation: Instantiation | undefined;
}

/** Machine and contenders, one line each. */
export function contenderLines(
  records: readonly HistoryRecord[],
  made: ReadonlyMap<string, readonly Made[]>,
): string[] {
  const [first] = records;
  if (first === undefined) return [];
  const { machine, node, chromium, commit } = first;
  const facts = [
    machine.processor,
    `${machine.cores} cores`,
    `${machine.memoryGiB} GiB`,
    machine.system,
    `Node ${node}`,
  ];
  if (chromium !== undefined) facts.push(`Chromium ${chromium}`);
  const names = new Map(records.map((record) => [nameOfContender(record), record]));
  return [
    `${facts.join(', ')}, commit ${shortCommit(commit)}`,
    ...[...names].map(([name, { engine, threads, version }]) => {
      const all = made.get(name) ?? [];
      const creation = all.map((one) => one.creation);
      const instantiations = all.flatMap(({ instantiation }) => instantiation ?? []);
      return [
        `${name}: ${engine}, ${threads === 1 ? '1 thread' : `${threads} threads`}, ${version}`,
        ...instantiations.slice(0, 1).map(({ moduleBytes }) => modules(moduleBytes)),
        ...(instantiations.length > 0
          ? [`instantiated in ${range(instantiations.map(({ seconds }) => seconds))}`]
          : []),
        ...(Math.max(...creation) > 0 ? [`made in ${range(creation)}`] : []),
      ].join(', ');
    }),
  ];
}

/** The first time, and the shortest. */
function range(seconds: readonly number[]): string {
  return `${formatNumber(seconds[0]! * 1e3)} ms at first, ${formatNumber(Math.min(...seconds) * 1e3)} at best`;
}

/** The geometric mean of each contender's cells. */
export function meanSpeedupLines(rows: readonly Row[], against: string): string[] {
  const cells = new Map<string, number[]>();
  for (const { record, speedup } of rows) {
    if (speedup === undefined) continue;
    const name = `${nameOfContender(record)}, ${record.memory}`;
    cells.set(name, [...(cells.get(name) ?? []), speedup.median]);
  }
  return [...cells].map(
    ([name, speedups]) =>
      `${name}: × ${against} ${formatNumber(geometricMean(speedups))} in the geometric mean, ` +
      `${formatNumber(Math.min(...speedups))} to ${formatNumber(Math.max(...speedups))} over ${speedups.length} cells`,
  );
}

function modules(bytes: readonly number[]): string {
  return `${bytes.length === 1 ? 'module' : 'modules'} ${bytes.map((one) => (one / 1000).toFixed(1)).join(' and ')} kB`;
}
