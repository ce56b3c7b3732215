// `pnpm bench`: exits with 0 when everything was timed, 1 when something went wrong, 2 when the question was wrong.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { benchJs } from './bench-js.js';
import { benchGpuJs, gpuModes } from './gpujs/bench-gpujs.js';

interface Flags {
  quick?: true;
  gpu?: true;
  browser?: true;
  mode?: string[];
  json?: string;
}

const program = new Command('bench')
  .description('Times training forward and backward in float32, in interleaved rounds: the JavaScript backend.')
  .option('--quick', 'fewer rounds')
  .option('--gpu', 'the gpu.js backend instead, on device tensors, in the modes that Node has')
  .option('--browser', 'with --gpu: in Chromium, too; it is found as for `pnpm conformance`')
  .addOption(new Option('--mode <mode...>', 'with --gpu: only these').choices(gpuModes))
  .option('--json <file>', 'write the results there, too')
  .allowExcessArguments(false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

const { quick, gpu, browser, mode, json } = program.parse().opts<Flags>();
if ((browser || mode) && !gpu) program.error('error: --browser and --mode belong to --gpu');

const rows = gpu
  ? await benchGpuJs({ browser: browser ?? false, modes: mode, rounds: quick ? 5 : 11, sampleTime: quick ? 0.1 : 0.25 })
  : await benchJs(quick ? { rounds: 5, sampleTime: 0.01 } : { rounds: 15, sampleTime: 0.02 });
if (json !== undefined) {
  const path = resolve(process.env.INIT_CWD ?? '', json);
  await writeFile(path, `${JSON.stringify({ formatVersion: 1, rows }, null, 2)}\n`);
}
