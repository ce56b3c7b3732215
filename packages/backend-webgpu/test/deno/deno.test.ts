// In Deno, whose WebGPU is wgpu: Naga compiles shaders there, not Tint, and queues and errors are other code.
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import { describe, expect, it } from 'vitest';

const name = 'webgpu@deno';
const folder = fileURLToPath(new URL('../..', import.meta.url));
const { resolve } = createRequire(import.meta.url);

/** Without OpenGL, which wgpu falls back to: drawn by software, it takes minutes. */
const backends = process.env.DENO_WEBGPU_BACKEND ?? 'vulkan,metal,dx12';

interface Exit {
  readonly code: number | string;
  readonly output: string;
}

/** Runs Deno in this package's folder, with `environment` beside what this process has. */
function deno(binary: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const options = {
    cwd: folder,
    timeout: 170_000,
    maxBuffer: 2 ** 26,
    env: {
      ...process.env,
      DENO_WEBGPU_BACKEND: backends,
      DENO_NO_UPDATE_CHECK: '1',
      NO_COLOR: '1',
      ...environment,
    },
  };
  return new Promise<Exit>((settle) => {
    execFile(binary, args, options, (error, stdout, stderr) => {
      settle({ code: error?.code ?? error?.signal ?? 0, output: `${stdout}${stderr}` });
    });
  });
}

/** Deno's binary, which a package for this platform has; undefined where there is none. */
function denosBinary(): string | undefined {
  const { platform, arch } = process;
  const target = `${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}`;
  try {
    const file = platform === 'win32' ? 'deno.exe' : 'deno';
    return createRequire(resolve('deno/package.json')).resolve(`@deno/${target}/${file}`);
  } catch {
    return undefined;
  }
}

const binary = denosBinary();
const probe =
  "const adapter = await navigator.gpu?.requestAdapter(); if (!adapter) { console.log('no adapter'); Deno.exit(3); }";
const probed = binary === undefined ? undefined : await deno(binary, ['eval', probe]);

if (binary === undefined) describeMissing(name, 'the package deno has no binary for this platform');
else if (probed?.code !== 0) describeMissing(name, `Deno has no WebGPU here: ${probed?.output.trim()}`);
else {
  const run = (args: readonly string[], environment?: Readonly<Record<string, string>>) =>
    deno(binary, ['run', '--allow-all', '--no-remote', ...args], environment);

  describe(name, () => {
    it.for([1, 2, 3])('conforms, on the WebGPU that Deno brings: part %d of 3 of the kit', async (part) => {
      const { code, output } = await run(['test/deno/kit.mjs', `${part}`, '3']);
      const lines = output.trimEnd().split('\n');
      expect(code, output).toBe(0);
      const { isDenosDevice, passed, failed } = JSON.parse(lines.at(-1)!);
      expect(isDenosDevice).toBe(true);
      expect(lines.slice(0, -1)).toEqual([]);
      expect(failed).toBe(0);
      expect(passed).toBeGreaterThan(100);
    });

    it("passes the tests of callers' buffers and encoders, float16 and shared memory, which vitest runs in Deno", async () => {
      const vitest = fileURLToPath(new URL('vitest.mjs', pathToFileURL(resolve('vitest/package.json'))));
      const files = ['callers-gpu', 'encode', 'float16', 'shared-memory'].map((file) => `test/${file}.test.ts`);
      // In the child nothing may be skipped.
      const { code, output } = await run([vitest, 'run', ...files], { REQUIRE_BACKENDS: 'webgpu' });
      expect(code, output).toBe(0);
      expect(output).toMatch(/Tests +\d+ passed \(\d+\)/);
    });
  });
}
