// Every package is one vitest project, and another where it has tests in Chromium: `pnpm vitest` at the root watches
// all of them (after `pnpm build`).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: ['packages/*', 'apps/*', 'examples/*', 'packages/*/vitest.browser.config.ts'],
  },
});
