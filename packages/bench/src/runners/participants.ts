// Who takes part in a run of `pnpm bench`, and where: from its flags, and from what this machine has.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import type { Contender, Kind } from '../contenders/contender.js';
import { ours, straightforward, straightforwardNameOf, usual } from '../contenders/contenders.js';
import { peersInNode } from '../contenders/peers/in-node.js';
import { peersInPage } from '../contenders/peers/in-page.js';
import type { Participant } from '../timing/measure.js';
import { ChildProcesses } from './child-processes.js';
import type { ChromiumRunner } from './chromium.js';
import { PythonRunner, pythonContenders } from './python.js';
import type { Runner } from './runner.js';

export interface Asked {
  /** Of contenders; without, every backend, and what the other flags add. */
  readonly names: readonly string[] | undefined;
  readonly peers: boolean;
  readonly against: string | undefined;
  /** `path`: of a certain Chromium. */
  readonly chromium: { readonly path: string | undefined } | undefined;
  /** A certain Python. */
  readonly python: string | undefined;
}

/** What does not take part, and why. */
export interface Missing {
  readonly status: 'skipped';
  readonly participant: { readonly name: string };
  readonly reason: string;
}

const pythonNames: readonly string[] = pythonContenders;
const peers: readonly Contender[] = [...peersInNode, ...peersInPage];
const inJavaScript: readonly Contender[] = [...ours, ...straightforward, ...peers];

export class Participants {
  /** Every name that `--backend` takes. */
  static readonly names: readonly string[] = [...inJavaScript.map(({ name }) => name), ...pythonNames];

  readonly all: Participant[] = [];
  readonly missing: Missing[] = [];
  readonly #runners: Runner[] = [];
  #chromium: ChromiumRunner | undefined;

  get chromiumVersion(): string | undefined {
    return this.#chromium?.version;
  }

  /** Starts what is needed. Does not reject where something can't be started: that is missing. */
  static async gather(asked: Asked): Promise<Participants> {
    const participants = new Participants();
    const names = wanted(asked);
    participants.#addNode(names, asked);
    if (asked.chromium) await participants.#addChromium(names, asked.chromium.path);
    await participants.#addPython(names, asked.python);
    return participants;
  }

  async close(): Promise<void> {
    for (const runner of this.#runners) await runner.close();
  }

  #addNode(names: readonly string[], { chromium }: Asked): void {
    const runner = this.#open(new ChildProcesses());
    for (const { name, kind, platforms } of inJavaScript.filter(({ name }) => names.includes(name))) {
      if (platforms.includes('node')) this.all.push({ name, kind, runner });
      else if (!chromium) this.#miss(name, 'needs Chromium: --browser');
    }
  }

  async #addChromium(names: readonly string[], wantedPath: string | undefined): Promise<void> {
    const there = inJavaScript.filter(({ name, platforms }) => names.includes(name) && platforms.includes('chromium'));
    try {
      const path = wantedPath ?? chromiumPath();
      if (path === undefined) throw new Error(chromiumMissing);
      const { ChromiumRunner } = await import('./chromium.js');
      this.#chromium = this.#open(await ChromiumRunner.start(path));
      for (const { name, kind } of there) this.all.push({ name, kind, runner: this.#chromium });
    } catch (error) {
      const [reason] = (error as Error).message.split('\n');
      for (const { name } of there) this.#miss(`${name}@chromium`, reason!);
    }
  }

  async #addPython(names: readonly string[], path: string | undefined): Promise<void> {
    const there = pythonNames.filter((name) => names.includes(name));
    if (there.length === 0) return;
    try {
      const runner = this.#open(await PythonRunner.start(path ? [path] : ['python3', '/usr/bin/python3']));
      const kind: Kind = 'peer';
      for (const name of there) this.all.push({ name, kind, runner });
    } catch (error) {
      for (const name of there) this.#miss(name, (error as Error).message);
    }
  }

  #open<R extends Runner>(runner: R): R {
    this.#runners.push(runner);
    return runner;
  }

  #miss(name: string, reason: string): void {
    this.missing.push({ status: 'skipped', participant: { name }, reason });
  }
}

function wanted({ names, peers: withPeers, against }: Asked): string[] {
  const chosen = names ?? usual;
  const besides = withPeers ? [...peers.map(({ name }) => name), ...pythonNames] : [];
  const counterparts =
    against === undefined
      ? []
      : against === 'straightforward'
        ? chosen.map(straightforwardNameOf)
        : against === 'pytorch'
          ? pythonNames.filter((name) => name.startsWith('pytorch'))
          : [against];
  return [...new Set([...chosen, ...besides, ...counterparts])];
}
