import { isolationHeaders } from '@batchnorm/browser';
import { defineConfig } from 'vite';

// Relative addresses, so that the built page can lie in any folder of a static file server. gpu.js is most of one of its scripts.
export default defineConfig(({ isPreview }) => ({
  base: './',
  build: { target: 'es2022', chunkSizeWarningLimit: 2000 },
  worker: { format: 'es' },
  server: { headers: { ...isolationHeaders } },
  preview: { headers: { ...isolationHeaders } },
  logLevel: isPreview ? 'info' : 'warn',
}));
