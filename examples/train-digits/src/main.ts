// The program: the experiment on the JavaScript backend.
import { createJsBackend } from '@batchnorm/backend-js';
import { experiment } from './experiment.js';

const backend = createJsBackend();
await experiment(backend);
await backend.dispose();
