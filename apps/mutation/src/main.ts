// `pnpm mutation`: exits with 0 if enough mutants are caught, with 1 if not or if the list of equivalents is wrong,
// with 2 for wrong arguments.
import { fileURLToPath } from 'node:url';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { equivalents } from './equivalents.js';
import { mutantsOf } from './mutant.js';
import { linesOf, scoreTable } from './report-terminal.js';
import { NoReport, readReport, run } from './run.js';
import { fractionOf, judge, required, total, unknownChanges } from './score.js';
import { type Target, targets } from './targets.js';

interface Flags {
  readonly concurrency?: number;
  readonly score?: true;
  readonly survivors?: true;
}

const program = new Command('mutation')
  .description(
    'Makes kernels and the layer wrong, one expression at a time, and counts what the kit and the tests notice.',
  )
  .addArgument(new Argument('[target...]', 'what is made wrong').choices(Object.keys(targets)))
  .option('--survivors', 'try only the mutants that nobody noticed in the last run')
  .option('--score', 'try none: print the score of the last run, with the list of equivalents as it is now')
  .option('--concurrency <n>', 'how many mutants are tried at a time', (text) => {
    if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError(`'${text}' is no whole number of at least 1.`);
    return Number(text);
  })
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

/** Runs one target, prints what became of its mutants, and returns whether that is good enough. */
async function tryMutants(name: string, { files, judge: by }: Target, flags: Flags): Promise<boolean> {
  const report = flags.survivors ? `${name}.survivors` : name;
  const wanted = flags.survivors ? judge(mutantsOf(await readReport(name)), equivalents).survivors : undefined;
  if (wanted?.length === 0) return true;
  if (!flags.score) await run({ files, wanted, judge: by, report, concurrency: flags.concurrency });

  const mutants = mutantsOf(await readReport(report));
  const { scores, survivors, notEquivalent } = judge(mutants, equivalents);
  const unknown = flags.survivors ? [] : unknownChanges(mutants, equivalents);
  for (const line of linesOf(survivors)) console.log(`survived: ${line}`);
  for (const line of linesOf(notEquivalent)) console.log(`listed as equivalent, but caught: ${line}`);
  for (const line of unknown) console.log(`listed as equivalent, but no mutant: ${line}`);
  console.log(scoreTable(name, scores));
  return fractionOf(total(scores.values())) >= required && notEquivalent.length === 0 && unknown.length === 0;
}

// Stryker copies the working directory.
process.chdir(fileURLToPath(new URL('../../..', import.meta.url)));
const flags = program.parse().opts<Flags>();
try {
  for (const name of program.args.length > 0 ? program.args : Object.keys(targets)) {
    if (!(await tryMutants(name, targets[name]!, flags))) process.exitCode = 1;
  }
} catch (error) {
  if (!(error instanceof NoReport)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}
