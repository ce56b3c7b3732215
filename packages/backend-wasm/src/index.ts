// The public names of @batchnorm/backend-wasm.
export { createWasmBackend, type WasmOptions } from './backend.js';
