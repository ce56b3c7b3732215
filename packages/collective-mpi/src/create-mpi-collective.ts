// What users call to make the ranks of an MPI job a collective.
import {
  assertOptionNames,
  assertOptions,
  type Collective,
  type OptionCheck,
  readUntrusted,
} from '@batchnorm/core-api';
import { Connection, type ConnectionOptions } from './connection.js';

/** How long ranks wait for each other, and which of them normalise together. */
export interface MpiCollectiveOptions {
  /** How long a rank waits for the others, in milliseconds: 60,000 if it is not given. After that all is over. */
  readonly timeoutMs?: number;
  /**
   * Ranks that give the same number are a collective of their own, in the order that they have in the job: ghost batch
   * norm. A whole number from 0. On every rank or on none.
   */
  readonly group?: number;
  /** The file of the MPI library, where it is not among those that are looked for. The first collective's counts. */
  readonly library?: string;
}

const checks: Readonly<Record<keyof MpiCollectiveOptions, OptionCheck>> = {
  timeoutMs: [(value) => typeof value === 'number' && value > 0, 'milliseconds above 0'],
  group: [(value) => value === undefined || isGroup(value), 'a whole number from 0 to 2147483647'],
  library: [(value) => value === undefined || typeof value === 'string', 'the name of a file'],
};

const isGroup = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;

let connection: Promise<Connection> | undefined;

/**
 * The ranks of the MPI job that this process belongs to, as a `Collective` for layers and for `sumGradients`: those that
 * `mpirun -np N` has started, or this one alone, where nothing has. Every rank calls it as often and in the same order,
 * and waits for the others. Dispose it before the process ends.
 *
 * Errors: `INVALID_OPTION`, of which the other ranks hear by `COLLECTIVE_FAILED`; `BACKEND_UNAVAILABLE` without koffi or
 * an MPI library, with what to install; `UNSUPPORTED` in a worker thread, and where something else in this process uses
 * MPI; `COLLECTIVE_FAILED` where some ranks have a group and others none, or where they don't come in time. Those of its `allGather`: `COLLECTIVE_FAILED` on every rank where
 * one gives another number of values, fails or leaves, and where one does not answer within `timeoutMs`, after which
 * every later call fails, too; `INVALID_OPTION`; `DISPOSED`.
 */
export async function createMpiCollective(options: MpiCollectiveOptions = {}): Promise<Collective> {
  const { timeoutMs, group, library } = await checked(options);
  return (await connected({ timeoutMs, library })).collective(timeoutMs, group);
}

const defaultTimeoutMs = 60_000;

/** Errors: `INVALID_OPTION`; the others, which wait for this rank, hear of it. */
async function checked(options: MpiCollectiveOptions): Promise<ConnectionOptions & { group: number | undefined }> {
  try {
    return readUntrusted('INVALID_OPTION', 'options', () => read(options));
  } catch (error) {
    await connected({ timeoutMs: defaultTimeoutMs, library: undefined })
      .then((connection) => connection.fail())
      .catch(() => undefined);
    throw error;
  }
}

function read(options: MpiCollectiveOptions): ConnectionOptions & { group: number | undefined } {
  assertOptionNames(options, Object.keys(checks));
  const { timeoutMs = defaultTimeoutMs, group, library } = options;
  assertOptions({ timeoutMs, group, library }, checks);
  return { timeoutMs, group, library };
}

function connected(options: ConnectionOptions): Promise<Connection> {
  connection ??= Connection.open(options).catch((error: unknown) => {
    // What is missing may be there next time.
    connection = undefined;
    throw error;
  });
  return connection;
}
