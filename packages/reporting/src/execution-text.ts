// What a backend runs on, in words.

/** As core-api's `Execution` has it. */
export interface RunsOn {
  readonly engine: string;
  readonly device: string;
  readonly threads: number;
}

/** '1 thread', '2 threads' */
export function threadsText(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`;
}

/** 'JavaScript on cpu, 1 thread' */
export function executionText({ engine, device, threads }: RunsOn): string {
  return `${engine} on ${device}, ${threadsText(threads)}`;
}
