import { defineConfig } from 'vite';

// Relative addresses, so that the built page can lie in any folder of a static file server. gpu.js is most of its one script.
export default defineConfig({ base: './', build: { chunkSizeWarningLimit: 2000 }, logLevel: 'warn' });
