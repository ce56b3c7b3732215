// Every package is one vitest project: `pnpm vitest` at the root watches all of them (after `pnpm build`).
import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { projects: ['packages/*', 'apps/*', 'examples/*'] } });
