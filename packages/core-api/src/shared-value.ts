// A value on the device with two owners, of which each disposes it when it likes.
import type { OnDevice } from './tensor.js';

/** Two handles of one value, whose memory is freed when both have been disposed. */
export function sharedByTwo<T>(value: OnDevice<T>): [OnDevice<T>, OnDevice<T>] {
  let owners = 2;
  const owned = (): OnDevice<T> => {
    let disposed = false;
    return {
      read: () => value.read(),
      ...(value.view && { view: () => value.view!() }),
      dispose() {
        if (disposed) return;
        disposed = true;
        owners--;
        if (owners === 0) value.dispose();
      },
    };
  };
  return [owned(), owned()];
}
