// The public names of @batchnorm/backend-wasm.
export { createWasmBackend, type WasmOptions } from './backend.js';
export type { NewWorker, PageWorker } from './worker-thread.js';
