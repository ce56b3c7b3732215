// How vitest finds the judges in the copy of the repository that Stryker works on: packages are their sources there,
// not what was built of them.
import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { inNode } from '../../../vitest.node.js';

const sourceOf = (name: string) => new URL(`../../../packages/${name}/src/index.ts`, import.meta.url).pathname;

/** The vitest config that runs these tests, given by their paths in the repository. */
export function judgedBy(...include: string[]): ViteUserConfig {
  return defineConfig({
    ...inNode({ include, slow: include }),
    resolve: {
      alias: {
        '@batchnorm/backend-js': sourceOf('backend-js'),
        '@batchnorm/conformance': sourceOf('conformance'),
        '@batchnorm/core-api': sourceOf('core-api'),
      },
    },
  });
}
