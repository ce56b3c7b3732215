// A cable with latency: by the kernel's netem, or by two processes where it has none.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished, vi } from 'vitest';
import { TwoHosts } from '../src/two-hosts.js';

const milliseconds = 25;

/** Two hosts; a visible skip with the reason where they can't be made. */
async function newHosts(skip: (reason: string) => never): Promise<TwoHosts> {
  const hosts = await TwoHosts.create().catch((error: Error) => {
    console.warn(`two hosts skipped: ${error.message}`);
    return skip(error.message);
  });
  onTestFinished(() => hosts.dispose());
  return hosts;
}

/** Milliseconds from one host to the other and back, at best: nobody listens there, which is the answer. */
async function roundTrip({ pids, addresses }: TwoHosts): Promise<number> {
  const program = `
    const refused = () => new Promise((done) => require('node:net').connect(9, '${addresses[1]}').on('error', done));
    (async () => {
      await refused(); // Hosts ask for each other's hardware address first.
      const times = [];
      for (let n = 0; n < 5; n++) {
        const begin = performance.now();
        await refused();
        times.push(performance.now() - begin);
      }
      console.log(Math.min(...times));
    })();`;
  const command = ['--target', `${pids[0]}`, '--net', '--uts', process.execPath, '--eval', program];
  return Number((await promisify(execFile)('nsenter', command)).stdout);
}

it('holds each packet back once in each direction, whatever the kernel has for it', async ({ skip }) => {
  const hosts = await newHosts(skip);
  const by = await hosts.delay(milliseconds).catch((error: Error) => {
    if (existsSync('/dev/net/tun')) throw error;
    console.warn(`latency skipped: ${error.message}`);
    return skip(error.message);
  });
  const taken = await roundTrip(hosts);
  console.info(`${milliseconds} ms by ${by}: there and back in ${taken.toFixed(1)} ms`);
  expect(taken).toBeGreaterThanOrEqual(2 * milliseconds - 1);
  if (by !== 'netem') {
    console.warn('netem skipped: this kernel has none, or there is no tc');
    skip('this kernel has no netem, or there is no tc: two processes held the packets back, which was tested');
  }
});

it('asks tc on both hosts for the latency of one direction', async ({ skip }) => {
  const hosts = await newHosts(skip);
  const folder = mkdtempSync(join(tmpdir(), 'data-parallel-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const asked = join(folder, 'asked');
  writeFileSync(join(folder, 'tc'), `#!/bin/sh\necho "$(hostname): $*" >> ${asked}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(await hosts.delay(milliseconds)).toBe('netem');
  const lines = readFileSync(asked, 'utf8').trim().split('\n');
  expect(lines).toHaveLength(2);
  expect(new Set(lines.map((line) => line.split(':')[0])).size).toBe(2);
  for (const line of lines) expect(line).toMatch(/: qdisc add dev \S+ root netem delay 25ms$/);
});
