// What can be said of a shell block without running it: that scripts, packages, commands and files that it names exist.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'shell-quote';
import { globSync } from 'tinyglobby';

interface Manifest {
  readonly name?: string;
  readonly private?: boolean;
  readonly bin?: object;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Commands of the system, of which nothing more is asked. */
const ofTheSystem = ['apt-get', 'cd', 'export', 'git'];
/** Commands that run the command after their own options. */
const launchers = ['mpirun', 'xvfb-run'];

/** What is wrong with each command of `block`, which stands in a page in `folder`, a path in the repository. */
export function problemsOf(block: string, folder: string, root: string): string[] {
  const read = (path: string): Manifest => JSON.parse(readFileSync(join(root, path), 'utf8'));
  const rootScripts = read('package.json').scripts!;
  const manifests = globSync('{packages,apps,examples}/*/package.json', { cwd: root }).map(read);
  const published = manifests.filter((manifest) => !manifest.private);
  // What a published package is tested beside, its users may need, too.
  const installable = new Set(
    published.flatMap(({ name, peerDependencies, devDependencies }) => [
      name!,
      ...Object.keys({ ...peerDependencies, ...devDependencies }),
    ]),
  );
  const named = (name: string | undefined) => manifests.find((manifest) => manifest.name === name);

  function problemOf([command, ...rest]: readonly string[]): string | undefined {
    const words = rest.filter((word) => !word.startsWith('-'));
    const [first] = words;
    if (command === undefined || ofTheSystem.includes(command)) return;
    if (launchers.includes(command)) {
      const at = rest.findIndex((word) => word === 'node' || word === 'pnpm');
      return at < 0 ? `${command} runs neither node nor pnpm` : problemOf(rest.slice(at));
    }
    if (command === 'node') {
      const source = first!.replace(/(^|\/)dist\//, '$1src/').replace(/\.js$/, '.ts');
      const exists = [first!, source].some(
        (path) => existsSync(join(root, folder, path)) || existsSync(join(root, path)),
      );
      return exists ? undefined : `there is no ${first}`;
    }
    if (command === 'npm' && first === 'install') {
      return words
        .slice(1)
        .filter((name) => !installable.has(name) && !/^pnpm@/.test(name))
        .map((name) => `no package of this repository is or uses ${name}`)[0];
    }
    if (command === 'npx') {
      if (words[0]?.startsWith('pnpm@')) return problemOf(['pnpm', ...words.slice(1)]);
      return published.some(({ name, bin }) => name === first && bin) ? undefined : `${first} has no command`;
    }
    if (command === 'pnpm') {
      if (rest[0] === '--filter') {
        return named(words[0])?.scripts?.[words[1]!] ? undefined : `${words[0]} has no script ${words[1]}`;
      }
      if (first === 'exec')
        return existsSync(join(root, 'node_modules/.bin', words[1]!)) ? undefined : `there is no ${words[1]}`;
      return first === 'install' || first! in rootScripts ? undefined : `package.json has no script ${first}`;
    }
    return `${command} is none of the commands that this test knows`;
  }

  return commandsOf(block).flatMap((command) => {
    const problem = problemOf(command);
    return problem === undefined ? [] : [`${command.join(' ')}: ${problem}`];
  });
}

/** The words of each command, without what it sets in its environment. */
export function commandsOf(block: string): string[][] {
  return block
    .replaceAll('\\\n', ' ')
    .split('\n')
    .flatMap((line) => {
      const commands: string[][] = [[]];
      for (const word of parse(line)) {
        if (typeof word === 'string') commands.at(-1)!.push(word);
        else if ('op' in word && word.op !== 'glob') commands.push([]);
      }
      return commands
        .map((words) => words.slice(words.findIndex((word) => !/^\w+=/.test(word))))
        .filter((words) => words.length > 0);
    });
}
