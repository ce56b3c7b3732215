// A layer for as long as a component is mounted.
import { type BackendName, type CreateBatchNormOptions, createBatchNorm, type SelectedBatchNorm } from 'batchnorm';
import { useEffect, useState } from 'react';

/** Options that are plain JSON. */
export interface UseBatchNormOptions extends Omit<CreateBatchNormOptions, 'backends' | 'collective' | 'signal'> {
  readonly backends?: readonly BackendName[];
}

/** Neither member is there while the backends are being measured. */
export interface UsedBatchNorm {
  readonly layer?: SelectedBatchNorm;
  readonly error?: Error;
}

/**
 * A layer of these options, disposed when the component unmounts or the options say something else. A new object that
 * says the same makes no new layer. A call that was still running on a disposed layer may reject: whoever made it in an
 * effect ignores what comes after the effect's own cleanup.
 */
export function useBatchNorm(options: UseBatchNormOptions): UsedBatchNorm {
  const key = JSON.stringify(options);
  const [made, setMade] = useState<UsedBatchNorm & { readonly key: string }>();

  useEffect(() => {
    const abort = new AbortController();
    const creation = createBatchNorm({ ...(JSON.parse(key) as UseBatchNormOptions), signal: abort.signal });
    creation.then(
      (layer) => abort.signal.aborted || setMade({ key, layer }),
      (error: Error) => abort.signal.aborted || setMade({ key, error }),
    );
    return () => {
      abort.abort(); // ends the measuring, if it has not ended
      setMade(undefined);
      creation.then(
        (layer) => layer.dispose(),
        () => {},
      );
    };
  }, [key]);

  // Until the effect of new options has run, what was made for the old ones is still there.
  return made?.key === key ? made : {};
}
