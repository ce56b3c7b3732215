// One side of a comparison: a process that has the packages of one working tree, named on its command line, and answers requests.
import { createInterface } from 'node:readline';
import { contendersOf } from '../contenders/of-tree.js';
import { InProcessRunner } from '../runners/in-process.js';
import type { Request } from '../runners/runner.js';
import { bennyClock } from '../timing/benny-clock.js';
import type { Sampling } from '../timing/clock.js';

const [root] = process.argv.slice(2) as [string];
const runner = new InProcessRunner('node', contendersOf(root), bennyClock);

console.log = console.error; // stdout is for answers

type Asked =
  | ({ readonly method: 'prepare' } & Request)
  | { readonly method: 'sample'; readonly id: string; readonly sampling: Sampling }
  | { readonly method: 'release' };

async function answer(asked: Asked): Promise<unknown> {
  switch (asked.method) {
    case 'prepare':
      return runner.prepare(asked);
    case 'sample':
      return runner.sample(asked.id, asked.sampling);
    case 'release':
      return runner.release();
  }
}

process.on('SIGINT', () => {}); // whoever started this process ends it

for await (const line of createInterface(process.stdin)) {
  const text = await answer(JSON.parse(line) as Asked).then(
    (result) => JSON.stringify({ result: result ?? null }),
    (error: Error) => JSON.stringify({ error: error.message }),
  );
  process.stdout.write(`${text}\n`);
}
