// Bundles the page of `pnpm bench --browser` into dist/page.
import { defineConfig } from 'vite';

export default defineConfig({ build: { outDir: 'dist/page', chunkSizeWarningLimit: 2000 }, logLevel: 'warn' });
