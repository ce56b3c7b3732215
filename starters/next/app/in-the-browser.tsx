// A client component: the same numbers, normalised on the visitor's device.
'use client';

import { useNormalized } from './use-normalized';

export function InTheBrowser({ numbers }: { numbers: readonly number[] }) {
  const { backend, values, error } = useNormalized(numbers);
  if (error) return <p role="alert">{error.message}</p>;
  return (
    <p id="browser">
      In the browser, with {backend ?? '…'}: <output>{values?.map((value) => value.toFixed(3)).join(', ')}</output>
    </p>
  );
}
