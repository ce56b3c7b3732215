// The search for the worst: what it finds on a right backend, and what it is not asked.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const worst = fileURLToPath(new URL('../dist/worst.js', import.meta.url));

function search(...args: string[]): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [worst, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
    });
  });
}

it('prints the largest error ÷ bound of every quantity, and they are below 1', async () => {
  const { code, output } = await search('--backend', 'js', '--seconds', '2');
  expect(code).toBe(0);
  expect(output).toMatch(/^js float32: [1-9]\d* batches/);
  const quantities = ['y', 'dx', 'dgamma', 'dbeta', 'runningMean', 'runningVariance'];
  for (const what of quantities) expect(output).toMatch(new RegExp(`  [\\d.e-]+  training ${what}, \\[`));
});

it('exits with 2 when it is asked for nothing, or for what there is not', async () => {
  expect((await search()).code).toBe(2);
  expect((await search('--backend', 'abacus')).code).toBe(2);
  expect(await search('--backend', 'js', '--seconds', 'no')).toMatchObject({
    code: 2,
    output: expect.stringContaining('above 0'),
  });
});
