// Where files are read from.
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { readAhead } from '../src/byte-source.js';
import { type FileSource, openSafetensors } from '../src/index.js';
import { fixture, fixturePath } from './fixtures.js';

const bytes = await fixture('model.safetensors');

async function readsTheSame(source: FileSource): Promise<void> {
  const [file, expected] = [await openSafetensors(source), await openSafetensors(bytes)];
  for (const name of expected.tensors.keys()) expect(await file.read(name)).toEqual(await expected.read(name));
}

/** Serves the file, with ranges or without, while `use` runs. */
async function served(
  answer: (range: RegExpExecArray | null) => { status: number; headers: Record<string, string>; body: Uint8Array },
  use: (url: URL) => Promise<void>,
): Promise<void> {
  const server = createServer((request, response) => {
    const { status, headers, body } = answer(/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? ''));
    response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    await use(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/model`));
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}

describe('a file', () => {
  it('is read from memory, a Blob and an open file', async () => {
    await readsTheSame(bytes);
    await readsTheSame(Buffer.from(bytes));
    await readsTheSame(bytes.slice().buffer);
    await readsTheSame(new Blob([bytes.slice()]));
    const handle = await open(fixturePath('model.safetensors'));
    try {
      await readsTheSame(handle);
    } finally {
      await handle.close();
    }
  });

  it.each([
    ['another range than was asked for', 4, 0],
    ['more bytes than were asked for', 0, 2 ** 20],
  ])('is refused where a server sends %s, of which no more is taken', async (_what, shift, more) => {
    const answer = (range: RegExpExecArray | null) => {
      // What is in the header would be found out by what it says; tensors say nothing.
      const isOfTensor = Number(range![1]) > 8;
      const [from, to] = [Number(range![1]), Number(range![2])].map((at) => (isOfTensor ? at - shift : at));
      const headers = { 'content-range': `bytes ${from}-${to}/${bytes.length}` };
      const body = new Uint8Array(to! - from! + 1 + more);
      body.set(bytes.slice(from, to! + 1));
      return { status: 206, headers, body };
    };
    await served(answer, (url) => expectCode('INVALID_FILE', () => readsTheSame(url)));
  });

  it('is read from a URL, in ranges', async () => {
    const asked: number[] = [];
    const ranges = (range: RegExpExecArray | null) => {
      const [from, to] = [Number(range![1]), Number(range![2])];
      asked.push(to - from + 1);
      const headers = { 'content-range': `bytes ${from}-${to}/${bytes.length}` };
      return { status: 206, headers, body: bytes.slice(from, to + 1) };
    };
    await served(ranges, readsTheSame);
    expect(Math.max(...asked)).toBeLessThan(bytes.length);
  });

  it('of a server without ranges is refused', async () => {
    await served(
      () => ({ status: 200, headers: {}, body: bytes }),
      (url) => expectCode('UNSUPPORTED', () => openSafetensors(url), /status 200/),
    );
    await served(
      () => ({ status: 404, headers: {}, body: new Uint8Array(0) }),
      (url) => expectCode('INVALID_FILE', () => openSafetensors(url), /status 404/),
    );
  });

  it('that changes while it is read is refused', async () => {
    let size = bytes.length;
    const growing = (range: RegExpExecArray | null) => {
      const [from, to] = [Number(range![1]), Number(range![2])];
      const headers = { 'content-range': `bytes ${from}-${to}/${size++}` };
      return { status: 206, headers, body: bytes.slice(from, to + 1) };
    };
    await served(growing, (url) => expectCode('INVALID_FILE', () => openSafetensors(url), /has the file changed/));
  });

  it('is read to the end, however little each read of an open file gives', async () => {
    await readsTheSame({
      stat: async () => ({ size: bytes.length }),
      async read(buffer, offset, length, position) {
        const bytesRead = Math.min(3, length);
        buffer.set(bytes.subarray(position, position + bytesRead), offset);
        return { bytesRead };
      },
    });
  });

  it('gives the same bytes through a window, wherever they are asked for', async () => {
    let reads = 0;
    const whole = { size: bytes.length, read: async (at: number, length: number) => bytes.subarray(at, at + length) };
    const counted = (at: number, length: number) => {
      reads++;
      return whole.read(at, length);
    };
    const ahead = readAhead({ size: whole.size, read: counted }, 100);
    for (const [at, length] of [
      [0, 8],
      [8, 50],
      [500, 10],
      [490, 20],
      [505, 5],
      [0, 1],
      [bytes.length - 3, 3],
      [200, 150],
    ] as const) {
      expect(await ahead.read(at, length)).toEqual(await whole.read(at, length));
    }
    expect(reads).toBe(6);
  });

  it('whose source gives too little is refused', async () => {
    const short = { size: bytes.length, read: async () => new Uint8Array(3) };
    await expectCode('INVALID_FILE', () => openSafetensors(short), /3 bytes at 0/);
    await expectCode('INVALID_OPTION', () => openSafetensors('model.safetensors' as never), /'model.safetensors'/);
  });
});
