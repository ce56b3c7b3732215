// A registry of npm on this machine: the packages of this repository, packed as for publishing, and all others as they
// are in the registry that npm is set to.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runServer } from 'verdaccio';
import { packPackages, readManifest } from '../pack-packages.mjs';

const run = promisify(execFile);
const windows = { shell: process.platform === 'win32' };

/** What the first release will be; as long as there was none, package.json says 0.0.0. */
const firstRelease = '0.1.0';

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

/** Publishes every package that is not private, with the version that its next users will see. Returns their names. */
async function publishPackages(folder, registry) {
  const packed = packPackages(join(folder, 'tarballs'));
  return Promise.all(
    packed.map(async ({ manifest: { name }, tarball }, index) => {
      const target = join(folder, `${index}`);
      mkdirSync(target);
      await run('tar', ['-xzf', tarball, '--strip-components', '1', '-C', target]);
      const text = JSON.stringify(readManifest(target), null, 2).replace(/(?<="\^?)0\.0\.0(?=")/g, firstRelease);
      writeFileSync(join(target, 'package.json'), text);
      // The registry wants somebody's name, and takes anybody's.
      const anybody = `--${registry.replace(/^http:/, '')}:_authToken=anybody`;
      await run('npm', ['publish', target, '--registry', registry, anybody, '--ignore-scripts'], windows);
      return name;
    }),
  );
}
