// Two hosts on one machine: network namespaces, each with a name and an address, and a cable between them. They are gone
// when this process is.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Names and addresses are seen by the two alone. */
const names = ['batchnorm0', 'batchnorm1'] as const;
const addresses = ['10.77.0.1', '10.77.0.2'] as const;
const network = '10.77.0.0/24';
const wireEnd = fileURLToPath(new URL('../dist/wire-end.js', import.meta.url));

export class TwoHosts {
  readonly addresses: readonly string[] = addresses;
  readonly network: string = network;
  readonly #hosts: readonly ChildProcess[];
  #wire: readonly ChildProcess[] = [];
  /** What it is called on both. */
  #link = 'cable';

  private constructor(hosts: readonly ChildProcess[]) {
    this.#hosts = hosts;
  }

  /** Errors: an `Error` that says what this machine does not allow. */
  static async create(): Promise<TwoHosts> {
    const hosts = new TwoHosts(await Promise.all(names.map(newHost)));
    try {
      const [one, other] = hosts.pids.map(String) as [string, string];
      const ends = [
        'link',
        'add',
        hosts.#link,
        'netns',
        one,
        'type',
        'veth',
        'peer',
        'name',
        hosts.#link,
        'netns',
        other,
      ];
      await run('ip', ends);
      await hosts.#plugIn();
      return hosts;
    } catch (error) {
      hosts.dispose();
      throw error;
    }
  }

  /** Of a process on each, which ends with this one. */
  get pids(): readonly [number, number] {
    return this.#hosts.map(({ pid }) => pid) as [number, number];
  }

  /** Bytes that went through the cable, in both directions. */
  async bytes(): Promise<number> {
    const { stdout } = await this.#on(0, 'cat', '/proc/net/dev');
    const fields = stdout
      .split('\n')
      .find((line) => line.includes(`${this.#link}:`))!
      .split(':')[1]!
      .trim()
      .split(/\s+/);
    return Number(fields[0]) + Number(fields[8]);
  }

  /**
   * Delays each packet, in each direction, once: by the kernel's netem, or, where there is none, by a wire of two
   * processes that hold packets back. Returns which. Errors: an `Error` where the kernel allows neither.
   */
  async delay(milliseconds: number): Promise<'netem' | 'processes'> {
    const netem = ['dev', this.#link, 'root', 'netem', 'delay', `${milliseconds}ms`];
    try {
      for (const n of addresses.keys()) await this.#on(n, 'tc', 'qdisc', 'add', ...netem);
      return 'netem';
    } catch {
      await this.#on(0, 'ip', 'link', 'delete', this.#link);
      this.#link = 'wire';
      this.#wire = await Promise.all(this.pids.map((pid) => newWireEnd(pid, this.#link, milliseconds)));
      const [one, other] = this.#wire as [ChildProcess, ChildProcess];
      one.stdout!.pipe(other.stdin!);
      other.stdout!.pipe(one.stdin!);
      await this.#plugIn();
      return 'processes';
    }
  }

  /** Takes the cable out. */
  async unplug(): Promise<void> {
    await this.#on(0, 'ip', 'link', 'set', this.#link, 'down');
  }

  /** The processes that were started on them and have not ended, but for those that `pids` has. */
  running(): number[] {
    const networks = new Set(this.pids.map((pid) => networkOf(`${pid}`)));
    // A host that has ended has none, and nothing runs there.
    networks.delete(undefined);
    return readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && networks.has(networkOf(pid)))
      .map(Number)
      .filter((pid) => !this.pids.includes(pid));
  }

  /** Ends what runs on them, too. */
  dispose(): void {
    for (const pid of [...this.running(), ...this.pids]) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  }

  async #plugIn(): Promise<void> {
    for (const [n, address] of addresses.entries()) {
      await this.#on(n, 'ip', 'address', 'add', `${address}/24`, 'dev', this.#link);
      await this.#on(n, 'ip', 'link', 'set', this.#link, 'up');
    }
  }

  #on(host: number, ...command: string[]): Promise<{ stdout: string }> {
    return run('nsenter', ['--target', `${this.pids[host]}`, '--net', '--uts', ...command]);
  }
}

/** What a process has for a network; nothing of one that has ended. */
function networkOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** A process in a network of its own, which ends when its input does: when this process is gone. */
function newHost(name: string): Promise<ChildProcess> {
  const script = [
    `hostname ${name}`,
    'ip link set lo up',
    // How often TCP repeats itself before it gives up: within some 10 s, and not 15 minutes.
    'echo 5 > /proc/sys/net/ipv4/tcp_retries2',
    'echo ready >&2',
    'exec cat',
  ].join(' && ');
  return begun('unshare', ['--net', '--uts', 'sh', '-c', script]);
}

function newWireEnd(pid: number, link: string, milliseconds: number): Promise<ChildProcess> {
  const program = [process.execPath, wireEnd, link, `${milliseconds}`];
  return begun('nsenter', ['--target', `${pid}`, '--net', '--uts', ...program]);
}

/** A process that has said that it is ready. Errors: an `Error` with what it said in place of that. */
async function begun(command: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'close');
  ended.catch(() => undefined);
  while (!said.includes('ready')) {
    const isOver = await Promise.race([ended, once(child.stderr, 'data').then(() => false)]);
    if (isOver) throw new Error(said.trim() || `${command} ended`);
  }
  return child;
}
