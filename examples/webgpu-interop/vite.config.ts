import { defineConfig } from 'vite';

// TensorFlow.js is a script of a megabyte.
export default defineConfig({ base: './', build: { chunkSizeWarningLimit: 2000, target: 'esnext' }, logLevel: 'warn' });
