// What `pnpm bench` prints after its tables: what ran, and geometric means over all cases.
import { digitsText, groupBy, threadsText } from '@batchnorm/reporting';
import { nameOfContender } from '../cases/case.js';
import type { Description } from '../contenders/contender.js';
import { shortCommit } from '../history/commit.js';
import type { HistoryRecord } from '../history/record.js';
import { geometricMean } from '../timing/statistics.js';
import type { Row } from './result-table.js';

/** A contender that was made for a setting. */
export interface Made extends Pick<Description, 'creation' | 'instantiation'> {
  readonly name: string;
}

/** Machine and contenders, one line each. */
export function contenderLines(records: readonly HistoryRecord[], made: readonly Made[]): string[] {
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
      const all = made.filter((one) => one.name === name);
      const creation = all.map((one) => one.creation);
      const instantiations = all.flatMap(({ instantiation }) => instantiation ?? []);
      return [
        `${name}: ${engine}, ${threadsText(threads)}, ${version}`,
        ...instantiations.slice(0, 1).map(({ moduleBytes }) => modules(moduleBytes)),
        ...(instantiations.length > 0
          ? [`instantiated in ${range(instantiations.map(({ seconds }) => seconds))}`]
          : []),
        ...(Math.max(...creation) > 0 ? [`made in ${range(creation)}`] : []),
      ].join(', ');
    }),
  ];
}

/** Of the seconds that each making took, the first and the shortest, in milliseconds. */
function range(seconds: readonly number[]): string {
  return `${digitsText(seconds[0]! * 1e3)} ms at first, ${digitsText(Math.min(...seconds) * 1e3)} at best`;
}

/** The geometric mean of each contender's cells. */
export function meanSpeedupLines(rows: readonly Row[], against: string): string[] {
  const compared = rows.flatMap(({ record, speedup }) =>
    speedup ? [{ name: `${nameOfContender(record)}, ${record.memory}`, speedup: speedup.median }] : [],
  );
  return [...groupBy(compared, ({ name }) => name)].map(([name, cells]) => {
    const speedups = cells.map(({ speedup }) => speedup);
    return (
      `${name}: × ${against} ${digitsText(geometricMean(speedups))} in the geometric mean, ` +
      `${digitsText(Math.min(...speedups))} to ${digitsText(Math.max(...speedups))} over ${speedups.length} cells`
    );
  });
}

function modules(bytes: readonly number[]): string {
  return `${bytes.length === 1 ? 'module' : 'modules'} ${bytes.map((one) => (one / 1000).toFixed(1)).join(' and ')} kB`;
}
