// What a backend runs on, in words.
import type { Execution } from '@batchnorm/core-api';

/** '1 thread', '2 threads' */
export function threadsText(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`;
}

/** 'JavaScript on cpu, 1 thread' */
export function executionText({ engine, device, threads }: Execution): string {
  return `${engine} on ${device}, ${threadsText(threads)}`;
}
