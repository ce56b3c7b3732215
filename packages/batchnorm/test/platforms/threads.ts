// A thread of wasm as a file of the page's own, for policies that allow no program of text.
import '@batchnorm/backend-wasm/worker';
