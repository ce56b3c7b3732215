// What a layer makes of numbers, for components to show.
import { useEffect, useState } from 'react';
import { useBatchNorm } from './use-batch-norm.ts';

export interface Normalized {
  readonly backend?: string | undefined;
  readonly values?: readonly number[] | undefined;
  readonly error?: Error | undefined;
}

/**
 * `numbers` with mean 0 and variance 1. While new ones are computed, the last result stays. Another array counts as new:
 * keep it with `useMemo` or `useState`.
 */
export function useNormalized(numbers: readonly number[]): Normalized {
  const { layer, error } = useBatchNorm({ numFeatures: 1 });
  const [result, setResult] = useState<Normalized>({});

  useEffect(() => {
    if (layer === undefined) return;
    let isCurrent = true; // no longer after the next numbers, the next layer, or unmounting
    layer.forward({ data: Float32Array.from(numbers), shape: [numbers.length, 1] }).then(
      (y) => isCurrent && setResult({ values: Array.from(y.data) }),
      (reason: Error) => isCurrent && setResult({ error: reason }),
    );
    return () => {
      isCurrent = false;
    };
  }, [layer, numbers]);

  return { backend: layer?.report.chosen, values: result.values, error: error ?? result.error };
}
