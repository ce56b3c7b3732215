// `pnpm --filter @batchnorm/backend-wasm fuzz [cases] [seed]`: the last line says how many cases there were, and mismatches.
import { createWasmBackend } from '@batchnorm/backend-wasm';
import fc from 'fast-check';
import { cases, mismatches } from './fuzz.js';

const [count = 10_000, seed = 20261122] = process.argv.slice(2).map(Number);
const backend = await createWasmBackend({ threads: 2 });
let failed = 0;
let done = 0;
for (const one of fc.sample(cases, { numRuns: count, seed })) {
  const found = await mismatches(backend, one);
  done++;
  if (found.length > 0) {
    failed++;
    console.log(JSON.stringify(one), found);
  }
  if (done % 1000 === 0) console.log(`${done} of ${count}`);
}
await backend.dispose();
console.log(`${done} cases, ${failed} mismatches (seed ${seed}, ${backend.execution.threads} threads)`);
process.exitCode = failed === 0 ? 0 : 1;
