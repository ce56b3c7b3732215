#!/usr/bin/env node
// `npx @batchnorm/conformance my-backend.js`: the kit against backends that modules make.
import { relative, resolve } from 'node:path';
import { runBackend } from '../report/backend-report.js';
import { exitWith, type KitFlags, kitCommand, runKit } from './kit-command.js';
import { type Factory, loadFactory } from './load-factory.js';
import { secondsOption } from './options.js';
import { ProgressLine } from './progress.js';

interface Flags extends KitFlags {
  readonly export?: string;
  readonly timeout: number;
}

const program = kitCommand('batchnorm-conformance', process.cwd())
  .description(
    'Runs every case of the kit against the backend that a module makes, and compares each result with its derived bound.',
  )
  .argument('<module...>', 'files of JavaScript that export a function which makes a backend')
  .option('--export <name>', "the export to take (default: default, create, or the only one that begins with 'create')")
  .addOption(secondsOption('--timeout <seconds>', 'how long the module, or one case, may take', 300))
  .addHelpText(
    'after',
    `
Exits with 0 when nothing failed, 1 when something did or the backend can't run here, 2 when the question was wrong.

Examples:
  npx @batchnorm/conformance my-backend.js --quick
  npx @batchnorm/conformance my-backend.js --report report`,
  );

await exitWith(async () => {
  const modules = program.parse().args;
  const flags = program.opts<Flags>();
  // All of them before the first runs, which may take minutes.
  const factories: [name: string, create: Factory][] = [];
  for (const path of modules) {
    const name = relative(process.cwd(), resolve(path));
    factories.push([name, await loadFactory(resolve(path), { timeoutMs: flags.timeout * 1000, export: flags.export })]);
  }
  return runKit(
    flags,
    async (cases) => {
      const reports = [];
      for (const [name, create] of factories) {
        const line = new ProgressLine(`${name} in node`);
        const report = await runBackend(name, 'node', create, {
          ...cases,
          timeoutMs: flags.timeout * 1000,
          onProgress: ({ status }) => line.onStatus(status),
        });
        line.end(report);
        reports.push(report);
      }
      return {
        date: new Date().toISOString(),
        machine: `${process.platform} ${process.arch}`,
        versions: { node: process.versions.node },
        reports,
      };
    },
    () => true,
  );
});

// What the backend has left running, such as timers or workers, does not keep the command. Pipes are written to the end.
process.stdout.write('', () => process.stderr.write('', () => process.exit()));
