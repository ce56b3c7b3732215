// Ranks that can gather: a communicator of MPI, with one request at a time.
import { type Handle, type Mpi, newHandles, newInts } from './mpi-library.js';

export class Communicator {
  readonly rank: number;
  readonly size: number;
  readonly #mpi: Mpi;
  readonly #handle: Handle;
  readonly #request: BigUint64Array = newHandles();
  readonly #flag: Int32Array = newInts();
  readonly #status: BigUint64Array = newHandles();

  constructor(mpi: Mpi, handle: Handle) {
    this.#mpi = mpi;
    this.#handle = handle;
    mpi.call('MPI_Comm_set_errhandler', handle, mpi.handles.errorsReturn);
    const numbers = newInts();
    mpi.call('MPI_Comm_rank', handle, numbers);
    this.rank = numbers[0]!;
    mpi.call('MPI_Comm_size', handle, numbers);
    this.size = numbers[0]!;
  }

  /** Of all ranks of the job, apart from whatever else uses MPI in this process. Every rank calls it. */
  static ofAll(mpi: Mpi): Communicator {
    // Errors of requests go to the handler of the world.
    mpi.call('MPI_Comm_set_errhandler', mpi.handles.world, mpi.handles.errorsReturn);
    const handles = newHandles();
    mpi.call('MPI_Comm_dup', mpi.handles.world, handles);
    return new Communicator(mpi, handles[0]);
  }

  /** Of those ranks that give the same group, in the order that they have here. Every rank calls it. */
  split(group: number): Communicator {
    const handles = newHandles();
    this.#mpi.call('MPI_Comm_split', this.#handle, group, this.rank, handles);
    return new Communicator(this.#mpi, handles[0]);
  }

  /**
   * Begins to gather the first `length` values of `send` of every rank, in rank order, in `receive`. All ranks must give
   * as many: MPI writes wrong numbers, and says nothing, where they don't. Both arrays must live, and stay where they
   * are, until `isDone`.
   */
  begin(send: Float64Array, receive: Float64Array, length: number): void {
    const { double } = this.#mpi.handles;
    this.#mpi.call('MPI_Iallgather', send, length, double, receive, length, double, this.#handle, this.#request);
  }

  isDone(): boolean {
    this.#mpi.call('MPI_Test', this.#request, this.#flag, this.#status);
    return this.#flag[0] !== 0;
  }

  /** Every rank calls it, when none uses the communicator any more. */
  free(): void {
    const handles = newHandles();
    handles[0] = this.#handle as bigint;
    this.#mpi.call('MPI_Comm_free', handles);
  }

  /** Ends every process of the job, this one included. */
  abort(exitCode: number): void {
    this.#mpi.call('MPI_Abort', this.#handle, exitCode);
  }
}
