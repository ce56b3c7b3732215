// A cable that is taken out: the job ends on both hosts, and nothing of it is left on either.
import { setTimeout } from 'node:timers/promises';
import { skipWithoutMpi } from '@batchnorm/testing/mpi';
import { expect, it, onTestFinished } from 'vitest';
import { runJob } from '../src/job.js';
import { TwoHosts } from '../src/two-hosts.js';

it('ends on both hosts when the cable between them is taken out', async ({ skip }) => {
  skipWithoutMpi('data-parallel', skip);
  const hosts = await TwoHosts.create().catch((error: Error) => {
    console.warn(`two hosts skipped: ${error.message}`);
    return skip(error.message);
  });
  onTestFinished(() => hosts.dispose());
  const job = runJob('rank.js', { ranks: 2, hosts }, '1000000', '2000').then(
    () => 'a job that has ended as if nothing had happened',
    (error: Error) => error.message,
  );
  while ((await hosts.bytes()) < 2_000_000) await setTimeout(50);
  await hosts.unplug();
  const begin = Date.now();
  expect(await job).toMatch(/COLLECTIVE_FAILED/);
  while (hosts.running().length > 0) await setTimeout(50);
  console.info(`cable taken out: no process left on either host after ${Date.now() - begin} ms`);
});
