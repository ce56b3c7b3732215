// Options of commands that refuse what nobody can mean: an empty or unknown value, and the same thing twice.
import { resolve } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';

/** Takes several of `names`, separated by spaces or commas; by default all of them. */
export function severalOf(
  names: readonly string[],
  flags: string,
  description: string,
  isKnown: (asked: string) => boolean = (asked) => names.includes(asked),
): Option {
  return new Option(flags, description).default(names, names.join(' ')).argParser((value: string, before: string[]) => {
    const chosen = [...(before === names ? [] : before), ...value.split(',')];
    if (!chosen.every(isKnown)) throw new InvalidArgumentError(`Expected ${names.join(', ')}.`);
    if (new Set(chosen).size < chosen.length) throw new InvalidArgumentError('Expected each name once.');
    return chosen;
  });
}

/** Takes a number of seconds. */
export function secondsOption(flags: string, description: string, usual: number): Option {
  return new Option(flags, description).default(usual).argParser((value: string) => {
    // A timer counts milliseconds in 31 bits.
    const seconds = Number(value);
    if (!(seconds > 0 && seconds <= 2_000_000))
      throw new InvalidArgumentError('Expected seconds, from above 0 to 2000000.');
    return seconds;
  });
}

/** Takes the path of a file or folder, relative to `from`. */
export function pathOption(flags: string, description: string, from: string): Option {
  return new Option(flags, description).argParser((value: string, before: string | undefined) => {
    if (value === '') throw new InvalidArgumentError('Expected a path.');
    if (before !== undefined) throw new InvalidArgumentError(`Expected one path, and '${before}' is there already.`);
    return resolve(from, value);
  });
}
