// The built site on a server, as `pnpm site` has it.
import { fileURLToPath } from 'node:url';
import { preview } from 'vite';
import { afterAll, beforeAll } from 'vitest';

/** Called in a suite: `address` is valid in its tests. */
export function served(): { readonly address: string } {
  let server: Awaited<ReturnType<typeof preview>>;
  beforeAll(async () => {
    server = await preview({
      root: fileURLToPath(new URL('..', import.meta.url)),
      preview: { host: 'localhost', port: 0 },
      logLevel: 'silent',
    });
  });
  afterAll(() => server?.close());
  return {
    get address() {
      return server.resolvedUrls!.local[0]!;
    },
  };
}
