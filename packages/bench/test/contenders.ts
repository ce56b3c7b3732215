// Contenders for tests: of known behaviour, and quick.
import { allocate } from '@batchnorm/core-api';
import { epsilon, type Workload } from '../src/cases/workload.js';
import type { Contender } from '../src/contenders/contender.js';
import { RowByRow } from '../src/contenders/row-by-row.js';

/** The straightforward training forward, after which `spoil` may change y. */
export function forwardOnly(name: string, spoil: (y: Float32Array) => void = () => {}): Contender & { runs: number } {
  const contender = {
    name,
    kind: 'backend' as const,
    platforms: ['node' as const],
    runs: 0,
    enter: async ({ extent, x, gamma, beta }: Workload) => {
      const loops = new RowByRow(extent.outer, extent.channels);
      const y = allocate('float32', x.length) as Float32Array;
      const run = () => {
        contender.runs++;
        loops.forward(x as Float32Array, gamma, beta, epsilon, y);
        spoil(y);
      };
      return {
        description: {
          engine: 'test',
          threads: 1,
          accumulation: { float32: 'float64', float64: 'float64' } as const,
          creation: 0,
          preparation: 0,
        },
        calls: [{ operation: 'forward-training' as const, memory: 'host' as const, run, results: () => ({ y }) }],
        dispose: () => {},
      };
    },
  };
  return contender;
}
