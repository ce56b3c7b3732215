// A part of the kit in Deno, `kit.mjs 1 3` the first of three: prints each failure, and at last a line of JSON, with how
// many cases passed.
import process from 'node:process';
import { describeConformance } from '@batchnorm/conformance';
import { createWebGpuBackend } from '../../dist/index.js';

/** Deno looks for finished work every 10 ms. So cases wait beside others, which have a backend of their own. */
const sharesOfPart = 2;
const [part, parts] = process.argv.slice(2).map(Number);
const shares = parts * sharesOfPart;

const counts = { passed: 0, failed: 0, skipped: 0 };

async function run(share) {
  const tests = [];
  const hooks = [];
  const runner = {
    describe: (_name, body) => body(),
    it: (name, body) => tests.push({ name, body }),
    afterAll: (hook) => hooks.push(hook),
  };
  describeConformance('webgpu@deno', createWebGpuBackend, runner, { quick: true });
  for (const { name, body } of tests.filter((_test, index) => index % shares === share)) {
    let outcome = 'passed';
    const skip = () => {
      outcome = 'skipped';
    };
    await body({ skip }).catch((error) => {
      outcome = 'failed';
      console.log(`${name}\n  ${error.message}`);
    });
    counts[outcome]++;
  }
  for (const hook of hooks) await hook();
}

const backend = await createWebGpuBackend();
const isDenosDevice = backend.device instanceof GPUDevice;
backend.dispose();
// Each share would print a summary of its own.
console.info = () => undefined;
await Promise.all(Array.from({ length: sharesOfPart }, (_, index) => run((part - 1) * sharesOfPart + index)));
console.log(JSON.stringify({ isDenosDevice, ...counts }));
