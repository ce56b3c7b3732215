// The one connection of this process to its MPI job: begun with the first collective, ended when the process exits.
import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { type Collective, refuse } from '@batchnorm/core-api';
import { Communicator } from './communicator.js';
import { completedNow } from './completion.js';
import { MpiCollective } from './mpi-collective.js';
import { loadMpi, type Mpi, newInts } from './mpi-library.js';

/** Calls come from one thread. */
const funneled = 1;

/** How ranks without a group tell each other so. */
const noGroup = -1;

export interface ConnectionOptions {
  readonly timeoutMs: number;
  readonly library: string | undefined;
}

export class Connection {
  readonly #mpi: Mpi;
  readonly #timeoutMs: number;
  /** Communicators of collectives are split from it, and nothing else happens on it. */
  readonly #all: Communicator;
  /** On which ranks agree to make a collective. */
  readonly #assembly: MpiCollective;
  /** Those that this rank has not left. They hold what MPI writes into. */
  readonly #collectives = new Set<MpiCollective>();
  /** What the process ends by, where it is an error that nobody caught. */
  #uncaught: unknown;

  private constructor(mpi: Mpi, timeoutMs: number) {
    this.#mpi = mpi;
    this.#timeoutMs = timeoutMs;
    this.#all = Communicator.ofAll(mpi);
    assertLaunched(mpi, this.#all.size);
    this.#assembly = new MpiCollective(Communicator.ofAll(mpi), timeoutMs, () => undefined);
    process.on('uncaughtExceptionMonitor', (error) => {
      this.#uncaught = error;
    });
    process.once('exit', (exitCode) => this.#end(exitCode));
  }

  /** Waits for every rank of the job to do the same, for as long as that takes. */
  static async open({ timeoutMs, library }: ConnectionOptions): Promise<Connection> {
    if (!isMainThread) refuse('UNSUPPORTED', 'a worker thread', 'the main thread, because MPI belongs to a process');
    const mpi = await loadMpi(library);
    const isInitialized = newInts();
    mpi.call('MPI_Initialized', isInitialized);
    if (isInitialized[0] !== 0) {
      refuse('UNSUPPORTED', 'a process in which MPI has been initialized', 'one in which nothing else uses MPI');
    }
    mpi.call('MPI_Init_thread', null, null, funneled, newInts());
    return new Connection(mpi, timeoutMs);
  }

  /** A collective of all ranks, or of those that give the same group. Every rank calls it. */
  async collective(timeoutMs: number, group: number | undefined): Promise<Collective> {
    const groups = await this.#assembly.gatherWithin(timeoutMs, Float64Array.of(group ?? noGroup));
    assertAllOrNone(groups.map(([group]) => group!));
    // It blocks, but not for long: every rank is here.
    const communicator = this.#all.split(group ?? 0);
    const collective = new MpiCollective(communicator, timeoutMs, () => this.#collectives.delete(collective));
    this.#collectives.add(collective);
    return collective;
  }

  /** In place of `collective` by a rank that is not given what it needs: it fails on the others, too. */
  fail(): Promise<void> {
    return this.#assembly.fail();
  }

  /**
   * So that whoever waits for this rank fails now and not when time is up. Where that can't be said any more, the job is
   * over: MPI ends the other processes.
   */
  #end(exitCode: number): void {
    if (this.#hasLeftAll()) {
      this.#mpi.call('MPI_Finalize');
      return;
    }
    // Node would say it after this, and does not get there.
    if (this.#uncaught !== undefined) writeSync(2, `${inspect(this.#uncaught)}\n`);
    this.#all.abort(exitCode || 1);
  }

  #hasLeftAll(): boolean {
    const collectives = [...this.#collectives];
    try {
      return (
        !this.#assembly.isUnderWay &&
        collectives.every((collective) => collective.beginLeaving()) &&
        completedNow(() => collectives.every((collective) => collective.hasLeft()), this.#timeoutMs)
      );
    } catch {
      return false;
    }
  }
}

/** Errors: `BACKEND_UNAVAILABLE` where each rank is a job of its own, because another MPI's launcher has started it. */
function assertLaunched({ library }: Mpi, size: number): void {
  const launched = process.env.OMPI_COMM_WORLD_SIZE ?? process.env.PMI_SIZE;
  if (launched === undefined || Number(launched) === size) return;
  const expected = `the ${launched} that the launcher has started: use the mpirun of the same MPI`;
  refuse('BACKEND_UNAVAILABLE', `a job of ${size} ranks in ${library}`, expected);
}

/** Errors: `COLLECTIVE_FAILED`, which names the first rank that has a group where rank 0 has none, or the other way round. */
function assertAllOrNone(groups: readonly number[]): void {
  const hasGroup = (rank: number) => groups[rank] !== noGroup;
  const rank = groups.findIndex((_, rank) => hasGroup(rank) !== hasGroup(0));
  if (rank < 0) return;
  const text = (rank: number) => (hasGroup(rank) ? `group ${groups[rank]}` : 'no group');
  refuse('COLLECTIVE_FAILED', `rank ${rank} with ${text(rank)}`, `${text(0)}, as rank 0 has`);
}
