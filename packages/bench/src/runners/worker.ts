// A process for contenders: those of this commit, or of the working tree that is named on its command line. It answers
// requests, a line of JSON each.
import { createInterface } from 'node:readline';
import { ours, straightforward } from '../contenders/contenders.js';
import { contendersOf } from '../contenders/of-tree.js';
import { peersInNode } from '../contenders/peers/in-node.js';
import { bennyClock } from '../timing/benny-clock.js';
import type { Sampling } from '../timing/clock.js';
import { InProcessRunner } from './in-process.js';
import type { Request } from './runner.js';

const [root] = process.argv.slice(2);
const contenders = root === undefined ? [...ours, ...straightforward, ...peersInNode] : contendersOf(root);
const runner = new InProcessRunner('node', contenders, bennyClock);

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
process.exit();
