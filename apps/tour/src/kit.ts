// The kit on one backend, in a process of its own: what it compiles and leaves behind would slow down whatever is timed
// later.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createBackend } from '@batchnorm/catalogue';
import { type BackendReport, runBackend } from '@batchnorm/conformance';
import type { OnStatus } from '@batchnorm/conformance/command';

type Message = { readonly status: Parameters<OnStatus>[0] } | { readonly report: BackendReport };

const thisFile = fileURLToPath(import.meta.url);

/** Rejects when the process ends without a report. */
export function runKit(backend: string, onStatus: OnStatus): Promise<BackendReport> {
  const child = fork(thisFile, [backend], { serialization: 'advanced' });
  return new Promise((resolve, reject) => {
    child.on('message', (message: Message) => {
      if ('status' in message) onStatus(message.status);
      else resolve(message.report);
    });
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      reject(new Error(`the kit on ${backend} ended with ${signal ?? code}, without a report`)),
    );
  });
}

const send = (message: Message) => new Promise((sent) => process.send!(message, sent));

if (process.argv[1] === thisFile) {
  const onProgress = ({ status }: { readonly status: Parameters<OnStatus>[0] }) => void send({ status });
  const name = process.argv[2]!;
  const report = await runBackend(name, 'node', () => createBackend(name), { quick: true, onProgress });
  await send({ report });
  process.disconnect();
}
