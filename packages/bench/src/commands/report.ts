// `pnpm bench:report`: draws a history as one HTML page.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Option } from 'commander';
import { readHistory } from '../history/history-file.js';
import { reportPage } from '../report/page.js';
import { repository } from '../repository.js';
import { command, exitCodes, historyOption, pathOf } from './flags.js';

interface Flags {
  history: string;
  out: string;
  run?: string;
}

const program = command(
  'bench:report',
  'Draws the latest run of a history, and the history of its machine, as one page.',
)
  .addOption(historyOption('what `pnpm bench` appended to'))
  .option('--run <date>', 'another run than the latest, such as 2026-01-31T12:00:00.000Z')
  .addOption(
    new Option('--out <file>', 'the page').default(
      join(repository, 'report/bench.html'),
      'report/bench.html in the repository',
    ),
  );

async function main({ history, out, run }: Flags): Promise<number> {
  try {
    const { records, malformed } = await readHistory(pathOf(history));
    if (malformed.length > 0) console.error(`${history}: left out what is no record, line ${malformed.join(', ')}`);
    const page = reportPage(records, run);
    await mkdir(dirname(pathOf(out)), { recursive: true });
    await writeFile(pathOf(out), page);
    console.log(`${pathOf(out)}: ${(page.length / 1000).toFixed(0)} kB`);
    return exitCodes.ok;
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    return exitCodes.usage;
  }
}

process.exitCode = await main(program.parse().opts<Flags>());
