// What the three commands have in common: lists in flags, the user's paths, exit codes, Ctrl-C.
import { join, resolve } from 'node:path';
import { dtypes } from '@batchnorm/conformance';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type DataPath, dataPaths, everyOperation, operations } from '../cases/case.js';
import { repository } from '../repository.js';

/** 0 all well, 1 something is wrong or slower, 2 a bad question, 3 too noisy to tell, 130 interrupted. */
export const exitCodes = { ok: 0, failure: 1, usage: 2, noisy: 3, interrupted: 130 } as const;

/** A command that refuses bad flags with a clear error and exit code 2. */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .allowExcessArguments(false)
    .configureOutput({ outputError: (text, write) => write(text) })
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? exitCodes.ok : exitCodes.usage));
}

/** pnpm runs scripts at the root of the repository; paths are the user's. */
export function pathOf(path: string): string {
  return resolve(process.env.INIT_CWD ?? '', path);
}

/** A comma-separated list of some of `choices`; of several flags, all. */
function listOf<T extends string>(choices: readonly T[]): (text: string, before?: readonly T[]) => T[] {
  return (text) => {
    const names = text.split(',').map((name) => name.trim());
    const unknown = names.find((name) => !choices.includes(name as T));
    if (unknown !== undefined) throw new InvalidArgumentError(`'${unknown}' is none of ${choices.join(', ')}.`);
    return names as T[];
  };
}

export const parseDataPaths: (text: string) => DataPath[] = listOf(dataPaths);

export function operationsOption(): Option {
  return new Option('--op <operations>', `of ${everyOperation.join(', ')}; or all`)
    .argParser((text) => (text === 'all' ? [...everyOperation] : listOf(everyOperation)(text)))
    .default([...operations], operations.join(','));
}

export function dtypesOption(): Option {
  const all = ['float16', ...dtypes] as const;
  return new Option('--dtype <dtypes>', `of ${all.join(', ')}`).argParser(listOf(all)).default(['float32'], 'float32');
}

export function historyOption(description: string): Option {
  return new Option('--history <file>', description).default(
    join(repository, '.bench/history.ndjson'),
    '.bench/history.ndjson in the repository',
  );
}

/** Names of contenders, or else of families of them: 'gpujs' is every 'gpujs-…', 'layer-js' is itself. */
export function parseContenders(known: readonly string[]): (text: string) => string[] {
  return (text) =>
    text.split(',').flatMap((asked) => {
      const name = asked.trim();
      const found = known.includes(name) ? [name] : known.filter((one) => one.startsWith(`${name}-`));
      if (found.length === 0) throw new InvalidArgumentError(`'${name}' is none of ${known.join(', ')}.`);
      return found;
    });
}

/** 1024x256,32x64x56x56: batch first, channels second. */
export function parseShapes(text: string): number[][] {
  return text.split(',').map((one) => {
    const shape = one.trim().split(/[x×]/).map(Number);
    if (shape.length < 2 || shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
      throw new InvalidArgumentError(`'${one}' is no shape, such as 1024x256 or 32x64x56x56.`);
    }
    if (shape.reduce((a, b) => a * b) > 2 ** 28)
      throw new InvalidArgumentError(`'${one}' has more than 2^28 elements.`);
    return shape;
  });
}

export function parsePositive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError(`'${text}' is no number above 0.`);
  return value;
}

/** The first Ctrl-C stops after the sample that is being taken; the second at once. */
export function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitCodes.interrupted);
      controller.abort(new Interrupted('interrupted'));
    });
  }
  return controller.signal;
}

export class Interrupted extends Error {}
