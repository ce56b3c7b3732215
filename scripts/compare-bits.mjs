// Whether two checkouts, both built, compute the same to the bit: every operation that the kit asks a backend for in
// either. Of contract 1, kernels are operations; of contract 2, operations are made of their stages. For changes that
// must change no result: `node scripts/compare-bits.mjs ../before .` Exits with 1 where a case differs, 2 where a tree
// lacks something.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { backends, backendsOn } from '../packages/catalogue/dist/backends.js';

const operations = ['forwardTraining', 'forwardInference', 'backwardTraining', 'backwardInference'];

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { backend: { type: 'string', multiple: true }, quick: { type: 'boolean' }, record: { type: 'boolean' } },
});
if (flags.record) await record(...positionals);
else await compare(...positionals);

async function compare(before, after) {
  if (before === undefined || after === undefined) {
    console.error(`usage: compare-bits <built checkout> <built checkout> [--backend <name>]… [--quick]`);
    process.exit(2);
  }
  for (const backend of flags.backend ?? backendsOn('node')) {
    const [old, now] = await Promise.all([before, after].map((tree) => digests(resolve(tree), backend)));
    if (typeof old === 'string' || typeof now === 'string') {
      console.log(`skipped: ${backend}: ${typeof old === 'string' ? old : now}`);
      continue;
    }
    const shared = [...now.keys()].filter((name) => old.has(name));
    const different = shared.filter((name) => old.get(name) !== now.get(name));
    const alone = old.size + now.size - 2 * shared.length;
    console.log(
      `${backend}: ${shared.length - different.length} cases the same, ${different.length} not, ${alone} in one tree`,
    );
    for (const name of different) console.log(`  differs: ${name}`);
    if (different.length > 0) process.exitCode = 1;
  }
}

/** What each case computed in a tree, or why its backend does not run. */
async function digests(tree, backend) {
  const args = [fileURLToPath(import.meta.url), '--record', tree, backend, ...(flags.quick ? ['--quick'] : [])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const found = new Map();
  let reason;
  for await (const line of createInterface({ input: child.stdout })) {
    const { name, digest, unavailable } = JSON.parse(line);
    if (unavailable !== undefined) reason = unavailable;
    else found.set(name, digest);
  }
  if ((await ended) !== 0) process.exit(2);
  return reason ?? found;
}

/** Runs the kit of `tree` over a backend of it, in a process of its own, and prints a digest of each case. */
async function record(tree, name) {
  const load = (folder) => import(pathToFileURL(join(tree, 'packages', folder, 'dist/index.js')).href);
  const { suite, dtypes } = await load('conformance');
  const { operationsOf } = await load('core-api');
  const { folder, create: make } = backends[name];
  const module = await load(folder);
  let calls = [];
  const create = async () => watched(await make(module), operationsOf, (call) => calls.push(call));
  let backend;
  try {
    backend = await create();
  } catch (error) {
    console.log(JSON.stringify({ unavailable: error.message }));
    return;
  }
  for (const dtype of dtypes.filter((one) => backend.capabilities.dtypes.includes(one))) {
    const subject = { backend, dtype, create, quick: flags.quick };
    for (const one of suite) {
      if ((flags.quick && one.slow) || (await one.inapplicable?.(subject)) !== undefined) continue;
      calls = [];
      const thrown = await one.run(subject).then(
        () => '',
        ({ code, name }) => code ?? name,
      );
      const all = createHash('sha256');
      for (const digest of await Promise.all(calls)) all.update(digest);
      const names = [one.group, one.source, one.name, ...Object.values(one.cell ?? {}), dtype];
      console.log(JSON.stringify({ name: names.join(' · '), digest: all.update(thrown).digest('hex') }));
    }
  }
  await backend.dispose();
  process.exit(0);
}

/** The same backend, whose operations tell of every call, in call order, a promise of what it gave. */
function watched(backend, operationsOf, onCall) {
  const prepare = backend.prepare.bind(backend);
  const watch = (target) => {
    // By contract 2, what is fused is used: all operations are, when they are watched.
    const performed = operationsOf === undefined ? bound(target, operations) : operationsOf(stagesOf(target));
    const watching = operationsOf === undefined ? target : {};
    if (watching !== target) Object.defineProperty(target, 'fused', { value: watching });
    for (const operation of operations) {
      const perform = performed[operation].bind(performed);
      watching[operation] = (input) => {
        let told;
        onCall(new Promise((resolve) => (told = resolve)));
        const digested = async (text, output) => told(await digestOf(text, output));
        try {
          const output = perform(input);
          if (!(output instanceof Promise)) {
            void digested(operation, output);
            return output;
          }
          return output.then(
            async (value) => {
              await digested(operation, value);
              return value;
            },
            async (error) => {
              await digested(`${operation} ${error.code}`, {});
              throw error;
            },
          );
        } catch (error) {
          void digested(`${operation} ${error.code}`, {});
          throw error;
        }
      };
    }
  };
  backend.prepare = (plan) => {
    const watchAll = (kernels) => {
      watch(kernels);
      if (kernels.device !== undefined && kernels.device !== kernels) watch(kernels.device);
      return kernels;
    };
    const kernels = prepare(plan);
    return kernels instanceof Promise ? kernels.then(watchAll) : watchAll(kernels);
  };
  return backend;
}

/** The stages by themselves, and what the kernels have fused now. */
function stagesOf(kernels) {
  return { ...bound(kernels, ['moments', 'normalize', 'gradientSums', 'inputGradient']), fused: kernels.fused };
}

function bound(object, names) {
  return Object.fromEntries(names.map((name) => [name, object[name].bind(object)]));
}

/**
 * Of a call and its results: arrays, or values on the device. All are copied before anybody else can write to them.
 * Moments are compared as the statistics that they are by contract 1.
 */
async function digestOf(text, { y, moments, statistics = moments, dx, dgamma, dbeta }) {
  const hash = createHash('sha256').update(text);
  const copies = [y, statistics, dx, dgamma, dbeta].map((value) => value?.read?.() ?? copyOf(value));
  for (const copy of copies) {
    const value = await copy;
    const { mean = value, count, m2, variance = m2?.map((square) => square / count) } = value ?? {};
    for (const values of [mean, variance].filter(ArrayBuffer.isView)) {
      // Any NaN is NaN: engines keep none of its bits on purpose.
      const { buffer } = values.map((element) => (Number.isNaN(element) ? Number.NaN : element));
      hash.update(new Uint8Array(buffer));
    }
  }
  return hash.digest();
}

function copyOf(value) {
  if (value === undefined || ArrayBuffer.isView(value)) return value?.slice();
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, part.slice?.() ?? part]));
}
