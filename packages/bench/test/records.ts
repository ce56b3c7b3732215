// Records of a made-up run.
import type { Operation } from '../src/cases/case.js';
import { type HistoryRecord, schema } from '../src/history/record.js';

export function recordOf(changes: Partial<HistoryRecord> = {}): HistoryRecord {
  const one = { operation: 'forward-training' as Operation, contender: 'js', memory: 'host' as const, ...changes };
  return {
    schema,
    run: '2026-01-02T03:04:05.678Z',
    commit: '0123456789abcdef',
    machine: { fingerprint: 'abc', system: 'linux x64', processor: 'A processor', cores: 2, memoryGiB: 8 },
    node: '20.19.0',
    name: `${one.operation} 256×64 float32 ${one.contender} ${one.memory}`,
    shape: [256, 64],
    dtype: 'float32',
    platform: 'node',
    kind: 'backend',
    version: '0.1.0',
    engine: 'JavaScript',
    threads: 1,
    error: { overBound: 0.1, ulps: 0.4 },
    rounds: 5,
    seconds: { median: 2e-5, low: 1.9e-5, high: 2.2e-5 },
    first: 1e-3,
    bytes: 131072,
    gigabytesPerSecond: 6.5,
    limit: 1e-6,
    shareOfLimit: { median: 0.05, low: 0.045, high: 0.053 },
    ratioToReference: { median: 0.3, low: 0.29, high: 0.31 },
    ...one,
  };
}
