// A collective that counts what goes through it.
import type { Collective } from '@batchnorm/core-api';

export interface Traffic {
  gathers: number;
  /** What this rank gave, in bytes. */
  bytes: number;
}

export function counted(collective: Collective): { collective: Collective; traffic: Traffic } {
  const traffic = { gathers: 0, bytes: 0 };
  return {
    traffic,
    collective: {
      rank: collective.rank,
      size: collective.size,
      allGather: (values) => {
        traffic.gathers++;
        traffic.bytes += values.byteLength;
        return collective.allGather(values);
      },
      dispose: () => collective.dispose(),
    },
  };
}
