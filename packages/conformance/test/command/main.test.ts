// `npx @batchnorm/conformance my-backend.js`, as the author of a backend runs it: the backend that
// docs/writing-a-backend.md leads to, whole and broken, modules that export something else, reports, exit codes.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const guide = await readFile(here('../../../../docs/writing-a-backend.md'), 'utf8');
const toy = [...guide.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code).join('');
/** Its running statistics are those of another variance. */
const wrong = toy.replace('(x[k] - mean[c]) ** 2', '(x[k] - mean[c]) ** 2 * 1.01');

let folder: string;
beforeEach(async () => {
  // In this package, so that modules there find @batchnorm/core-api.
  await mkdir(here('../../test-results'), { recursive: true });
  folder = await mkdtemp(here('../../test-results/command-'));
});

const write = (name: string, content: string) => writeFile(join(folder, name), content);

function run(...args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    const main = here('../../dist/command/main.js');
    const options = { cwd: folder, env: { ...process.env, NO_COLOR: '1' } };
    execFile(process.execPath, [main, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
    });
  });
}

/** x = ±1 has mean 0 and variance 1, and epsilon 3 makes xHat = ±1/2. */
const golden = {
  format: 2,
  cases: [
    {
      name: 'by hand',
      options: { numFeatures: 1, epsilon: 3 },
      steps: [
        {
          training: true,
          x: { shape: [4, 1], data: [-1, 1, -1, 1] },
          y: { shape: [4, 1], data: [-0.5, 0.5, -0.5, 0.5] },
        },
      ],
    },
  ],
};

describe("somebody's backend", () => {
  it('conforms, in every report, under the name of its module', async () => {
    await write('my-backend.js', toy);
    const { code, output } = await run('my-backend.js', '--quick', '--dtype', 'float32', '--report', 'deep/report');
    expect(output).toMatch(/^my-backend\.js in node [.rs]+ \d+ passed, 0 failed/m);
    expect(output).toMatch(/│ my-backend\.js │ node +│ +\d+ pass/);
    expect(code).toBe(0);
    const read = (name: string) => readFile(join(folder, 'deep/report', name), 'utf8');
    expect(JSON.parse(await read('conformance.json'))).toMatchObject({
      failed: 0,
      backends: [{ backend: 'my-backend.js', platform: 'node', holes: [] }],
    });
    expect(await read('conformance.md')).toMatch(/^\| my-backend\.js \| node \| \d+ pass/m);
    expect(await read('conformance.html')).toContain('<b>my-backend.js</b>');
  });

  it('that is wrong fails, and the command says where and by how much', async () => {
    await write('right.js', toy);
    await write('wrong.js', wrong);
    await write('golden.json', JSON.stringify(golden));
    const { code, output } = await run('right.js', 'wrong.js', '--fixtures', '.');
    expect(output).toContain('2 passed, 2 failed, 0 refused, 0 skipped');
    expect(output).toMatch(/float32 +│ golden.json +│ by hand +│ pass .* │ FAIL /);
    expect(output).toMatch(
      /wrong\.js node: float32 golden\.json by hand: step 1 y\[0\]: received -0\.49.*expected -0\.5/,
    );
    expect(code).toBe(1);
  });

  it("that can't run here is a failure, with the reason", async () => {
    await write(
      'absent.js',
      `import { refuse } from '@batchnorm/core-api';
       export default () => refuse('BACKEND_UNAVAILABLE', 'no device', 'one');`,
    );
    const { code, output } = await run('absent.js', '--quick');
    expect(output).toMatch(/│ absent\.js │ node skip .*received no device/);
    expect(output).toContain('absent.js is required, and could not run here');
    expect(code).toBe(1);
  });

  it.each([
    ['whose factory does not answer', 'export default () => new Promise(() => {});', 'before the first case'],
    [
      'that stops answering',
      `${toy.replace('export const', 'const')}
export default () => {
  const backend = createToyBackend();
  let plans = 0;
  backend.prepare = ((prepare) => (plan) => (++plans > 3 ? new Promise(() => {}) : prepare(plan)))(backend.prepare.bind(backend));
  return backend;
};`,
      'after the case “',
    ],
  ])('%s is a failure after --timeout', async (_, module, when) => {
    await write('silent.mjs', module);
    const { code, output } = await run('silent.mjs', '--quick', '--dtype', 'float32', '--timeout', '2');
    expect({ code, output }).toMatchObject({
      code: 1,
      output: expect.stringContaining(`no answer within 2 s, ${when}`),
    });
  });

  it('that leaves a timer running does not keep the command', async () => {
    await write('timer.mjs', "setInterval(() => {}, 1000);\nexport default () => { throw new Error('no'); };");
    expect(await run('timer.mjs')).toMatchObject({ code: 1, output: expect.stringContaining('Error: no') });
  });

  it('whose module does not load within --timeout is a wrong question', async () => {
    await write('endless.mjs', 'await new Promise(() => {});');
    const { code, output } = await run('endless.mjs', '--timeout', '1');
    expect({ code, output }).toMatchObject({ code: 2, output: expect.stringContaining('did not load within 1 s') });
  });

  it('that is none is a failure', async () => {
    await write('nothing.mjs', 'export default () => ({});');
    const { code, output } = await run('nothing.mjs');
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringContaining('no backend of contract 2') });
  });

  it('whose factory throws is a failure, with what it threw', async () => {
    await write('broken.js', "export const create = () => { throw new Error('out of luck'); };");
    const { code, output } = await run('broken.js', '--quick');
    expect(output).toContain('broken.js node: Error: out of luck');
    expect(code).toBe(1);
  });
});

describe('a module', () => {
  const golden1 = ['--fixtures', '.', '--dtype', 'float32'];
  beforeEach(() => write('golden.json', JSON.stringify(golden)));

  it.each([
    ['default', 'export default createToyBackend;'],
    ['create', 'export const createOther = () => {}; export const create = createToyBackend;'],
  ])('may export its factory as %s', async (_, line) => {
    await write('mine.js', `${toy.replace('export const', 'const')}\n${line}`);
    expect(await run('mine.js', ...golden1)).toMatchObject({ code: 0, output: expect.stringContaining('1 passed') });
  });

  it('with several factories needs --export', async () => {
    await write('mine.js', `${toy}\nexport const createOther = () => { throw new Error('the other one'); };`);
    const undecided = await run('mine.js', ...golden1);
    expect(undecided.output).toMatch(
      /^error: .*mine\.js exports createOther, createToyBackend; expected a function as its default export, .* --export$/m,
    );
    expect(undecided.code).toBe(2);
    expect(await run('mine.js', '--export', 'createToyBackend', ...golden1)).toMatchObject({ code: 0 });
    expect(await run('mine.js', '--export', 'createTheirs', ...golden1)).toMatchObject({
      code: 2,
      output: expect.stringContaining('expected a function called createTheirs'),
    });
  });

  it.each([
    ['is not there', undefined, /^error: there is no .*mine\.js; expected a module/m],
    ['exports nothing', '', /^error: .*mine\.js exports nothing; expected/m],
    ['is no JavaScript', 'export default {', /^error: can't load .*mine\.js: .*SyntaxError/m],
    ['throws', "throw new Error('at once');", /^error: can't load .*mine\.js: .*at once/m],
  ])('that %s ends the command before anything runs', async (_, text, message) => {
    if (text !== undefined) await write('mine.js', text);
    const { code, output } = await run('mine.js', '--report', 'report');
    expect(output).toMatch(message);
    expect(code).toBe(2);
    await expect(stat(join(folder, 'report'))).rejects.toThrow();
  });
});

describe('the command', () => {
  it('has a help, and wants a module', async () => {
    const { code, output } = await run('--help');
    expect(code).toBe(0);
    for (const flag of ['--dtype', '--quick', '--report', '--json', '--fixtures', '--export'])
      expect(output).toContain(flag);
    expect(await run()).toMatchObject({
      code: 2,
      output: expect.stringContaining("missing required argument 'module'"),
    });
  });

  it.each([['--dtype', 'float8'], ['--report', ''], ['--unknown']])('refuses %s %s', async (...args) => {
    await write('mine.js', toy);
    expect(await run('mine.js', ...args)).toMatchObject({ code: 2 });
  });
});
