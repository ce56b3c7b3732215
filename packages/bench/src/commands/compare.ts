// `pnpm bench:compare --base REF`: whether the packages as they are here are slower than those of another commit. Exits
// with 0 when surely not, 1 when something is slower or wrong, 2 when the question was wrong, 3 when it was too noisy
// to tell.
import { appendFile, writeFile } from 'node:fs/promises';
import type { Dtype } from '@batchnorm/core-api';
import { Option } from 'commander';
import type { Operation } from '../cases/case.js';
import { compareShapes } from '../cases/shapes.js';
import { BaseError, buildTree, resolveCommit, type Tree } from '../compare/base-tree.js';
import { type Comparison, compareTrees } from '../compare/compare.js';
import { usual } from '../contenders/contenders.js';
import { contendersOf } from '../contenders/of-tree.js';
import { shortCommit, thisCommit } from '../history/commit.js';
import { repository } from '../repository.js';
import { ChildProcesses } from '../runners/child-processes.js';
import { comparisonMarkdown, comparisonTable, summaryOf } from '../terminal/comparison-table.js';
import { Progress } from '../terminal/progress.js';
import {
  command,
  dtypesOption,
  exitCodes,
  Interrupted,
  onInterrupt,
  operationsOption,
  parseContenders,
  parsePositive,
  parseShapes,
  pathOf,
} from './flags.js';

interface Flags {
  base: string;
  quick?: true;
  backend: string[];
  op: Operation[];
  shape: readonly (readonly number[])[];
  dtype: Dtype[];
  threshold: number;
  json?: string;
  markdown?: string;
}

const names = contendersOf(repository).map(({ name }) => name);

const program = command(
  'bench:compare',
  'Times the packages as they are here beside those of another commit, in turn, and says which cases became slower.',
)
  .requiredOption('--base <ref>', 'the commit to compare with, such as main or HEAD~1')
  .option('--quick', 'fewer and shorter samples: more cases are too noisy to tell')
  .addOption(
    new Option('--backend <names>', 'these; what is no name is a family: gpujs is every gpujs-…')
      .argParser(parseContenders(names))
      .default(defaultContenders(names), defaultContenders(names).join(',')),
  )
  .addOption(operationsOption())
  .addOption(
    new Option('--shape <shapes>', 'these')
      .argParser(parseShapes)
      .default(compareShapes, compareShapes.map((shape) => shape.join('x')).join(',')),
  )
  .addOption(dtypesOption())
  .option('--threshold <share>', 'how much slower is slower', parsePositive, 0.1)
  .option('--json <file>', 'write the comparison there, too')
  .option('--markdown <file>', 'append the table in Markdown there, such as to $GITHUB_STEP_SUMMARY');

/** Of the usual ones those that are fast enough to be timed often. */
function defaultContenders(all: readonly string[]): string[] {
  return all.filter((name) => usual.includes(name) && !name.startsWith('gpujs-'));
}

async function main(flags: Flags): Promise<number> {
  const signal = onInterrupt();
  const commit = await resolveCommit(flags.base);
  let base: Tree | undefined;
  let comparison: Comparison;
  try {
    base = await builtTree(commit, signal);
    signal.throwIfAborted();
    const roots = { base: base.root, head: repository };
    const progress = new Progress('base and head');
    try {
      comparison = await compareTrees((side) => new ChildProcesses(roots[side]), {
        contenders: flags.backend,
        settings: flags.shape.flatMap((shape) => flags.dtype.map((dtype) => ({ shape, dtype }))),
        operations: flags.op,
        ...(flags.quick
          ? { pairs: 4, rounds: 6, sampling: { warmUp: 0.004, sampleTime: 0.0005, totalTime: 0.006 }, patience: 2 }
          : { pairs: 6, rounds: 8, sampling: { warmUp: 0.02, sampleTime: 0.001, totalTime: 0.02 }, patience: 3 }),
        threshold: flags.threshold,
        signal,
        onProgress: progress.update,
      });
    } finally {
      progress.stop();
    }
  } finally {
    await base?.remove();
  }
  return report(flags, commit, comparison);
}

/** A Ctrl-C ends what builds the tree, too: that is no failure of the tree. */
async function builtTree(commit: string, signal: AbortSignal): Promise<Tree> {
  try {
    return await buildTree(commit, (text) => process.stderr.write(`${text} ${commit.slice(0, 10)}\n`));
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

async function report(flags: Flags, commit: string, { compared, skipped, wrong }: Comparison): Promise<number> {
  const title = `${shortCommit(thisCommit())} beside ${shortCommit(commit)} (${flags.base})`;
  const percent = Math.round(flags.threshold * 100);
  const notes = [
    ...wrong.map((one) => `WRONG, so it is not timed: ${one}`),
    ...skipped.map((one) => `not compared: ${one}`),
    `Slower: the 99 % interval of head ÷ base lies above ${(1 + flags.threshold).toFixed(2)}. Unchanged or faster: it lies below. ` +
      `Too noisy to tell: it has both; a change of ${percent} % may or may not be there.`,
  ];
  console.log(`\n${title}\n${comparisonTable(compared)}\n${summaryOf(compared)}`);
  for (const note of notes) console.log(note);
  if (flags.json !== undefined) {
    const json = {
      formatVersion: 1,
      base: commit,
      head: thisCommit(),
      threshold: flags.threshold,
      compared,
      skipped,
      wrong,
    };
    await writeFile(pathOf(flags.json), `${JSON.stringify(json, null, 2)}\n`);
  }
  if (flags.markdown !== undefined)
    await appendFile(pathOf(flags.markdown), comparisonMarkdown(title, compared, notes));
  if (wrong.length > 0 || compared.length === 0 || compared.some(({ answer }) => answer === 'slower')) {
    return exitCodes.failure;
  }
  return compared.some(({ answer }) => answer === 'too noisy to tell') ? exitCodes.noisy : exitCodes.ok;
}

try {
  process.exitCode = await main(program.parse().opts<Flags>());
} catch (error) {
  if (error instanceof BaseError) {
    console.error(`error: ${error.message}`);
    process.exitCode = exitCodes.usage;
  } else if (error instanceof Interrupted) {
    console.error('\ninterrupted');
    process.exitCode = exitCodes.interrupted;
  } else throw error;
}
