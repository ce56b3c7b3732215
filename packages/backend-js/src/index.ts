// The public name of @batchnorm/backend-js.
export { createJsBackend } from './backend.js';
