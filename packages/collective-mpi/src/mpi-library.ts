// MPI as functions of JavaScript: finds the library that is installed here, and knows its handles.
import { describe, refuse } from '@batchnorm/core-api';

export type MpiFunction =
  | 'MPI_Initialized'
  | 'MPI_Init_thread'
  | 'MPI_Finalize'
  | 'MPI_Abort'
  | 'MPI_Comm_rank'
  | 'MPI_Comm_size'
  | 'MPI_Comm_dup'
  | 'MPI_Comm_split'
  | 'MPI_Comm_free'
  | 'MPI_Comm_set_errhandler'
  | 'MPI_Iallgather'
  | 'MPI_Test'
  | 'MPI_Error_string';

const pointer = 'void *';
const int = 'int';

/** The types of the parameters. Handles are pointers to Open MPI, and numbers to MPICH. */
const parameters: Readonly<Record<MpiFunction, readonly string[]>> = {
  MPI_Initialized: [pointer],
  MPI_Init_thread: [pointer, pointer, int, pointer],
  MPI_Finalize: [],
  MPI_Abort: [pointer, int],
  MPI_Comm_rank: [pointer, pointer],
  MPI_Comm_size: [pointer, pointer],
  MPI_Comm_dup: [pointer, pointer],
  MPI_Comm_split: [pointer, int, int, pointer],
  MPI_Comm_free: [pointer],
  MPI_Comm_set_errhandler: [pointer, pointer],
  MPI_Iallgather: [pointer, int, pointer, pointer, int, pointer, pointer, pointer],
  MPI_Test: [pointer, pointer, pointer],
  MPI_Error_string: [int, pointer, pointer],
};

/** What the library calls a communicator, a data type or an error handler. */
export type Handle = unknown;

interface Handles {
  readonly world: Handle;
  readonly double: Handle;
  readonly errorsReturn: Handle;
}

export interface Mpi {
  /** The file it was loaded from. */
  readonly library: string;
  readonly handles: Handles;
  /** Errors: `COLLECTIVE_FAILED`, with MPI's own words, where it does not return success. */
  call(name: MpiFunction, ...args: readonly unknown[]): void;
}

/** As much of koffi as is used. */
interface Koffi {
  load(path: string, options: { global: boolean }): Library;
}

interface Library {
  func(name: string, result: string, parameters: string[]): (...args: readonly unknown[]) => number;
  symbol(name: string): unknown;
}

const openMpi = ['libmpi.so.40'];
const mpich = ['libmpich.so.12', 'libmpi.so.12'];

/** What MPI is to leave alone, unless the user's environment says otherwise. */
const settings: Readonly<Record<string, string>> = {
  // UCX, below MPICH, replaces functions that get memory from the system: of 100 jobs of 3 ranks 4 crashed in V8.
  UCX_MEM_EVENTS: 'n',
  // And takes the signal by which V8 hears of what WebAssembly must not read.
  UCX_ERROR_SIGNALS: '',
  // Open MPI starts a daemon for a process that no launcher has started.
  OMPI_MCA_ess_singleton_isolated: '1',
};

/** What to do where there is none. */
const toInstall =
  'koffi and MPI: npm install koffi; on Debian apt-get install --no-install-recommends openmpi-bin (or mpich)';

/**
 * Loads `library`, or the MPI whose launcher has started this process, or any. Errors: `BACKEND_UNAVAILABLE`, with what
 * to install.
 */
export async function loadMpi(
  library: string | undefined,
  importKoffi: () => Promise<{ default: Koffi }> = () => import('koffi'),
): Promise<Mpi> {
  const { default: koffi } = await importKoffi().catch((cause: unknown) =>
    refuse('BACKEND_UNAVAILABLE', `no koffi: ${Object(cause).message}`, toInstall, { cause }),
  );
  for (const [name, value] of Object.entries(settings)) process.env[name] ??= value;
  const names = library === undefined ? librariesFor(process.env) : [library];
  const reasons: string[] = [];
  for (const name of names) {
    let loaded: Library;
    try {
      // Global: Open MPI loads components that look for its symbols.
      loaded = koffi.load(name, { global: true });
    } catch (error) {
      reasons.push(String(Object(error).message));
      continue;
    }
    return bound(name, loaded);
  }
  refuse('BACKEND_UNAVAILABLE', `no MPI library: ${reasons.join('; ')}`, toInstall);
}

/** Ranks that MPICH's launcher started do not find each other in Open MPI. */
function librariesFor(environment: NodeJS.ProcessEnv): string[] {
  const isMpich = environment.PMI_RANK !== undefined && environment.OMPI_COMM_WORLD_RANK === undefined;
  return isMpich ? [...mpich, ...openMpi] : [...openMpi, ...mpich];
}

function bound(name: string, library: Library): Mpi {
  try {
    const functions = Object.fromEntries(
      Object.entries(parameters).map(([name, types]) => [name, library.func(name, int, [...types])]),
    ) as Record<MpiFunction, (...args: readonly unknown[]) => number>;
    const call = (name: MpiFunction, ...args: readonly unknown[]) => {
      const code = functions[name](...args);
      if (code === 0) return;
      const [text, length] = [Buffer.alloc(1024), newInts()];
      functions.MPI_Error_string(code, text, length);
      refuse('COLLECTIVE_FAILED', `${text.toString('latin1', 0, length[0])} from ${name}`, 'success');
    };
    return { library: name, handles: handlesOf(library), call };
  } catch (cause) {
    const received = `${describe(name)}, which is no MPI: ${Object(cause).message}`;
    refuse('BACKEND_UNAVAILABLE', received, toInstall, { cause });
  }
}

/** Open MPI's are the addresses of variables; MPICH's are numbers of its ABI. */
function handlesOf(library: Library): Handles {
  let world: Handle;
  try {
    world = library.symbol('ompi_mpi_comm_world');
  } catch {
    return { world: 0x44000000n, double: 0x4c00080bn, errorsReturn: 0x54000001n };
  }
  const [double, errorsReturn] = [library.symbol('ompi_mpi_double'), library.symbol('ompi_mpi_errors_return')];
  return { world, double, errorsReturn };
}

/** For what MPI writes: engines move what is smaller than this, in an array of its own, about in memory. */
export const newInts = (): Int32Array => new Int32Array(32);

/** The same for a handle: 4 or 8 bytes at its beginning. */
export const newHandles = (): BigUint64Array => new BigUint64Array(16);
