// The probe in a page.
import { probe } from './probe.js';

const newWorker = () => new Worker('/threads.js', { type: 'module' });
const findings = probe(newWorker);
Object.assign(globalThis, { findings });
