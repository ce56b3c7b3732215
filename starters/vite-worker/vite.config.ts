import { defineConfig } from 'vite';

// A worker that loads backends on demand consists of several files, which are ES modules.
export default defineConfig({ worker: { format: 'es' } });
