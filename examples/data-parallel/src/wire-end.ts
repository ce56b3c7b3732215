// One end of a wire that takes its time: `node wire-end.js LINK MILLISECONDS`, in a host's network. Makes the link LINK
// there, and hands its packets to the other end: what goes out is written to stdout, so much later, and what comes in is
// read from stdin. For kernels that have no netem.
import { openSync, read, writeSync } from 'node:fs';
import koffi from 'koffi';

const [link, milliseconds] = process.argv.slice(2);

/** Of linux/if_tun.h: an interface that sends and receives whole Ethernet frames, and nothing before them. */
const TUNSETIFF = 0x400454ca;
const IFF_TAP_NO_PI = 0x1002;

const tap = openSync('/dev/net/tun', 'r+');
const ioctl = koffi.load('libc.so.6').func('ioctl', 'int', ['int', 'unsigned long', 'void *']);
const request = Buffer.alloc(64);
request.write(link!);
request.writeUInt16LE(IFF_TAP_NO_PI, 16);
if (ioctl(tap, TUNSETIFF, request) !== 0) throw new Error(`this machine allows no link '${link}'`);
console.error('ready');

const frame = Buffer.alloc(65_536);
listen();

/** Each frame goes with its length before it. */
function listen(): void {
  read(tap, frame, 4, frame.length - 4, null, (error, length) => {
    // Until the link is up there is nothing to read.
    if (error) return void setTimeout(listen, 10);
    frame.writeUInt32LE(length);
    const packet = Buffer.from(frame.subarray(0, 4 + length));
    setTimeout(() => process.stdout.write(packet), Number(milliseconds));
    listen();
  });
}

let received: Buffer = Buffer.alloc(0);
process.stdin.on('data', (chunk: Buffer) => {
  received = Buffer.concat([received, chunk]);
  while (received.length >= 4 && received.length >= 4 + received.readUInt32LE()) {
    const end = 4 + received.readUInt32LE();
    try {
      writeSync(tap, received.subarray(4, end));
    } catch {
      // The link is not up yet: whoever wants to be heard says it again.
    }
    received = received.subarray(end);
  }
});
process.stdin.on('end', () => process.exit());
