// A worker thread that asks for a collective, and says what it was answered.
import { parentPort } from 'node:worker_threads';
import { createMpiCollective } from '@batchnorm/collective-mpi';
import { outcome } from './report.mjs';

parentPort.postMessage(await outcome(createMpiCollective()));
