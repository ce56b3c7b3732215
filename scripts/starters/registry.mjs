// A registry of npm on this machine: the packages of this repository, packed as for publishing, and all others as they
// are in the registry that npm is set to.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runServer } from 'verdaccio';
import { packPackages } from '../pack-packages.mjs';

const run = promisify(execFile);
const windows = { shell: process.platform === 'win32' };

/** Serves from `folder`. Returns the registry's url, the `names` of the packages in it that are ours, and `stop()`. */
export async function startRegistry(folder) {
  const { stdout } = await run('npm', ['config', 'get', 'registry'], windows);
  const configPath = join(folder, 'verdaccio.yaml');
  const server = await runServer({
    configPath,
    self_path: configPath,
    storage: join(folder, 'storage'),
    auth: { htpasswd: { file: join(folder, 'htpasswd') } },
    // npm has a cache already.
    uplinks: { npm: { url: stdout.trim(), cache: false, timeout: '60s' } },
    packages: {
      batchnorm: { access: '$all', publish: '$all' },
      '@batchnorm/*': { access: '$all', publish: '$all' },
      '**': { access: '$all', proxy: 'npm' },
    },
    web: { enable: false },
    log: { type: 'file', path: join(folder, 'verdaccio.log'), level: 'warn' },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${server.address().port}/`;
  const names = await publishPackages(join(folder, 'packages'), url);
  return {
    url,
    names,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Publishes every package that is not private. Returns their names. */
async function publishPackages(folder, registry) {
  // The registry wants somebody's name, and takes anybody's.
  const anybody = `--${registry.replace(/^http:/, '')}:_authToken=anybody`;
  return Promise.all(
    packPackages(folder).map(async ({ manifest: { name }, tarball }) => {
      await run('npm', ['publish', tarball, '--registry', registry, anybody, '--ignore-scripts'], windows);
      return name;
    }),
  );
}
