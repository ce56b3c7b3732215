// vitest's configuration for test files that run in Chromium; where there is none, a visible skip in their place.
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineProject, type UserWorkspaceConfig } from 'vitest/config';
import { chromiumMissing, chromiumPath, isolationHeaders, launchArguments } from './chromium.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Comma-separated; see `isRequired`. */
    requiredBackends: string;
    /** What does not run, and why; see without-chromium.test.ts. */
    missing: { readonly backends: readonly string[]; readonly reason: string };
  }
}

export interface ChromiumTests {
  /** For reports; not the name in package.json, which is the Node project's. */
  readonly name: string;
  /** Globs, relative to the package. */
  readonly include: string[];
  /** What REQUIRE_BACKENDS may name, such as 'js@chromium'. */
  readonly backends: readonly string[];
  /** Packages that Vite is to bundle beforehand: one that it finds while tests run makes it reload them. */
  readonly dependencies?: string[];
}

/** For what hangs alone: software rendering of a large case takes seconds, and more on a busy machine. */
const browserLimit = 180_000;

/** A vitest project of its own: `export default inChromium({ … })` in a vitest.browser.config.ts. */
export function inChromium({ name, include, backends, dependencies = [] }: ChromiumTests): UserWorkspaceConfig {
  const requiredBackends = process.env.REQUIRE_BACKENDS ?? '';
  const executablePath = chromiumPath();
  if (executablePath === undefined) {
    const provide = { requiredBackends, missing: { backends, reason: chromiumMissing } };
    const root = fileURLToPath(new URL('.', import.meta.url));
    return defineProject({
      root,
      test: { name: `${name} (chromium)`, include: ['without-chromium.test.js'], provide },
    });
  }
  return defineProject({
    optimizeDeps: { include: dependencies },
    plugins: [{ name: 'cross-origin-isolation', config: () => ({ server: { headers: { ...isolationHeaders } } }) }],
    test: {
      name,
      include,
      testTimeout: browserLimit,
      hookTimeout: browserLimit,
      provide: { requiredBackends },
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: { executablePath, args: [...launchArguments] } }),
        instances: [{ browser: 'chromium' }],
      },
    },
  });
}
