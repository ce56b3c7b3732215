// A project as a user has it: a folder outside this repository, with what it asks for installed from a registry.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What is installed beside this file, where it can be: `deno` and `bun`. */
const commands = fileURLToPath(new URL('node_modules/.bin', import.meta.url));

/** Why `command` can't be run here, or false. In CI all can. */
export function isMissing(command) {
  const { error, status } = spawnSync(join(commands, command), ['--version']);
  return (error || status !== 0) && !process.env.CI ? `${command} does not run here: ${error ?? status}` : false;
}

export class Project {
  #cwd;
  #env;

  /** `folder`: where package.json is. `cache`: a folder for what Deno and Bun download. */
  constructor({ folder, registry, cache }) {
    this.#cwd = folder;
    this.#env = {
      ...process.env,
      PATH: [commands, process.env.PATH].join(delimiter),
      // npm and Deno read the first two, Bun the third.
      npm_config_registry: registry,
      NPM_CONFIG_REGISTRY: registry,
      BUN_CONFIG_REGISTRY: registry,
      // What others compile while they are installed, nobody needs here.
      npm_config_ignore_scripts: 'true',
      npm_config_audit: 'false',
      npm_config_fund: 'false',
      npm_config_update_notifier: 'false',
      DENO_DIR: `${cache}/deno`,
      BUN_INSTALL_CACHE_DIR: `${cache}/bun`,
      NEXT_TELEMETRY_DISABLED: '1',
      NO_COLOR: '1',
      // A user's machine is no CI, where Next warns that it has no cache of an earlier build.
      CI: undefined,
      // Set by node:test, for tests of its own.
      NODE_TEST_CONTEXT: undefined,
      FORCE_COLOR: undefined,
    };
  }

  /** Of what others are deprecated or want to build, the user hears in any case; of our packages nothing. */
  async install(...names) {
    const output = await this.#run('npm', ['install', ...names]);
    const warnings = output.split('\n').filter((line) => /warn/i.test(line) && /batchnorm/i.test(line));
    assert.deepEqual(warnings, []);
  }

  /** Runs a command that has nothing to complain about. Returns what it printed. */
  async run(command, ...args) {
    const output = await this.#run(command, args);
    assertNoWarning(output);
    return output;
  }

  /** Runs a script of package.json in the same way. */
  script(name) {
    return this.run('npm', 'run', '--silent', name);
  }

  /** Runs a script that serves, with `args` and a free port, while `visit(url)` runs. */
  async serve(name, args, visit) {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/`;
    const server = this.#start('npm', ['run', '--silent', name, '--', ...args, `${port}`]);
    try {
      await Promise.race([answers(url), server.ended.then((output) => assert.fail(`the server ended:\n${output}`))]);
      await visit(url);
      assertNoWarning(server.output());
    } finally {
      server.stop();
      await server.ended;
    }
  }

  async #run(command, args) {
    const { ended, child } = this.#start(command, args);
    const output = await ended;
    assert.equal(child.exitCode, 0, `${command} ${args.join(' ')}:\n${output}`);
    return output;
  }

  #start(command, args) {
    // A group of its own: npm starts a shell, which starts what serves.
    const child = spawn(command, args, {
      cwd: this.#cwd,
      env: this.#env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    return {
      child,
      output: () => output,
      ended: once(child, 'close').then(() => output),
      stop: () => child.exitCode === null && process.kill(-child.pid),
    };
  }
}

function assertNoWarning(output) {
  assert.doesNotMatch(output, /warn|deprecat|⚠|\(!\)/i);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until somebody answers there. */
async function answers(url) {
  for (;;) {
    if (await fetch(url).catch(() => undefined)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
