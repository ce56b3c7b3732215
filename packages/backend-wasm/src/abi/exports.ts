// The functions that kernels export. Booleans are 0 or 1.

/** See assembly/kernels.ts. */
export interface KernelExports {
  perform(job: number, opcode: number, from: number, to: number): number;
}

/** See assembly/worker-pool.ts. */
export interface PoolExports extends KernelExports {
  dispatch(job: number, opcode: number, grain: number, limit: number): number;
  isDone(): number;
  redo(thread: number): void;
}
