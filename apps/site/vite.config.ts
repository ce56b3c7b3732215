// `pnpm site`: serves what VitePress has built. The page measures threads only where it is isolated.
import { isolationHeaders } from '@batchnorm/browser';
import { defineConfig } from 'vite';

export default defineConfig({
  base: process.env.SITE_BASE ?? '/',
  appType: 'mpa',
  preview: { headers: { ...isolationHeaders } },
});
