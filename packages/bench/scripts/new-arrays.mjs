// How long it takes to get an array for a result and to fill it from one that is in cache, for docs/performance.md: used
// again, new, or moved out of a disposed one as core-api's result-memory.ts does; and into shared memory. In Node alone.
import { performance } from 'node:perf_hooks';

const [rounds, calls] = [12, 100];

const moved = (buffer) => buffer.transfer?.() ?? structuredClone(buffer, { transfer: [buffer] });

/** The ways to get an array of `length` numbers, each of which fills it with `values`. */
function waysFor(values) {
  const { length, byteLength } = values;
  const filled = (array) => {
    array.set(values);
    return array;
  };
  const [again, shared] = [new Float32Array(length), new Float32Array(new SharedArrayBuffer(byteLength))];
  let disposed = new ArrayBuffer(byteLength);
  return {
    'used again': () => filled(again),
    'in shared memory, used again': () => filled(shared),
    'new each time': () => filled(new Float32Array(length)),
    'new, by slice': () => values.slice(),
    'new and not zeroed': () => filled(new Float32Array(Buffer.allocUnsafeSlow(byteLength).buffer, 0, length)),
    'moved out of a disposed one': () => {
      const array = filled(new Float32Array(disposed));
      disposed = moved(array.buffer);
      return array;
    },
  };
}

for (const kilobytes of [64, 1024, 8192]) {
  const ways = Object.entries(waysFor(new Float32Array(kilobytes * 256).fill(1.5)));
  const times = new Map(ways.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of ways) {
      const begin = performance.now();
      for (let call = 0; call < calls; call++) way();
      times.get(name).push(((performance.now() - begin) * 1000) / calls);
    }
  }
  console.log(`\n${kilobytes} kB, µs: median [least, most]`);
  for (const [name, all] of times) {
    all.sort((a, b) => a - b);
    console.log(`${name.padEnd(30)} ${all[rounds / 2].toFixed(1)} [${all[0].toFixed(1)}, ${all.at(-1).toFixed(1)}]`);
  }
}
