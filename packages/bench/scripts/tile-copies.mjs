// What it costs that arrays of the caller go through WebAssembly's memory tile by tile, with nothing computed, for
// docs/performance.md: in and out through one tile that stays in cache, beside one copy from array to array. In Node alone.
import { performance } from 'node:perf_hooks';

const [rounds, calls] = [12, 5];
const tile = new Float32Array(new WebAssembly.Memory({ initial: 16 }).buffer).subarray(4096, 4096 + (256 << 8));

/** The ways from `x` to `y`. */
function waysFor(x, y) {
  const eachTile = (visit) => {
    for (let begin = 0; begin < x.length; begin += tile.length) visit(begin, begin + tile.length);
  };
  const copyIn = (begin, end) => tile.set(x.subarray(begin, end));
  const copyOut = (begin) => y.set(tile, begin);
  return {
    'in one copy': () => y.set(x),
    'part by part, without a tile': () => eachTile((begin, end) => y.set(x.subarray(begin, end), begin)),
    'through a tile': () =>
      eachTile((begin, end) => {
        copyIn(begin, end);
        copyOut(begin);
      }),
    'into the tile alone': () => eachTile(copyIn),
    'out of the tile alone': () => eachTile(copyOut),
  };
}

for (const megabytes of [1, 4, 8, 12, 16, 32]) {
  const [x, y] = [1.5, 2.5].map((value) => new Float32Array(megabytes << 18).fill(value));
  const ways = Object.entries(waysFor(x, y));
  const times = new Map(ways.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of ways) {
      way();
      const begin = performance.now();
      for (let call = 0; call < calls; call++) way();
      times.get(name).push(((performance.now() - begin) * 1000) / calls / megabytes);
    }
  }
  console.log(`\n${megabytes} MB, µs per MB: median [least, most]`);
  for (const [name, all] of times) {
    all.sort((a, b) => a - b);
    console.log(`${name.padEnd(30)} ${all[rounds / 2].toFixed(0)} [${all[0].toFixed(0)}, ${all.at(-1).toFixed(0)}]`);
  }
}
