// A text for the platform on which a program runs: a cached choice that was made on another platform is ignored.

/** The part of Node's `process` that says where it runs. Deno and Bun have one, too. */
interface NodeProcess {
  readonly versions?: Readonly<Record<string, string | undefined>>;
  readonly platform: string;
  readonly arch: string;
  /** Since Node 20.16. Gets a built-in module without an import statement, which a bundler would try to resolve. */
  getBuiltinModule?(name: 'node:os'): { cpus(): readonly { readonly model: string }[] } | undefined;
}

/** The globals of a runtime or of a browser. */
interface Surroundings {
  readonly process?: NodeProcess;
  readonly navigator?: { readonly userAgent?: string; readonly hardwareConcurrency?: number };
  /** Whether memory can be shared with worker threads. */
  readonly crossOriginIsolated?: boolean;
  readonly document?: unknown;
  /** Every kind of worker has a class of this name for its global object. */
  readonly WorkerGlobalScope?: unknown;
  readonly ServiceWorkerGlobalScope?: unknown;
  readonly SharedWorkerGlobalScope?: unknown;
}

/** The runtimes that have a `process`, by the key of their version in it. Those that pose as Node come before it. */
const runtimes = { deno: 'Deno', bun: 'Bun', electron: 'Electron', node: 'Node' } as const;

/** The browsers, by what only their user agent has. Chromium says that it is Safari, so it comes before it. */
const browsers = [
  ['Firefox', /Firefox\//],
  ['Chromium', /Chrom(e|ium)\//],
  ['Safari', /Safari\//],
] as const;

/**
 * 'Node 20.19.0, linux x64, 2 × Intel Xeon', the same of Deno, Bun and Electron, or the browser, whether it is a page or
 * which kind of worker, its threads, and its user agent.
 */
export function platformFingerprint(surroundings: Surroundings = globalThis as Surroundings): string {
  const { process, navigator, crossOriginIsolated } = surroundings;
  const runtime = runtimeOf(process);
  if (process !== undefined && runtime !== undefined) {
    return `${runtime}, ${process.platform} ${process.arch}, ${processorsOf(process)}`;
  }
  const agent = navigator?.userAgent ?? '';
  const [browser] = browsers.find(([, sign]) => sign.test(agent)) ?? ['unknown platform'];
  const threads = `${navigator?.hardwareConcurrency ?? '?'} threads`;
  const isolation = crossOriginIsolated ? 'cross-origin isolated' : 'not cross-origin isolated';
  return [`${browser} ${placeOf(surroundings)}`, threads, isolation, agent].filter(Boolean).join(', ');
}

function runtimeOf(process: NodeProcess | undefined): string | undefined {
  const versions = process?.versions ?? {};
  const found = Object.entries(runtimes).find(([key]) => versions[key] !== undefined);
  return found && `${found[1]} ${versions[found[0]]}`;
}

/** Deno tells of its processors where `--allow-sys` permits it, and throws elsewhere. */
function processorsOf({ getBuiltinModule }: NodeProcess): string {
  try {
    const cpus = getBuiltinModule?.('node:os')?.cpus() ?? [];
    return cpus.length === 0 ? 'unknown cpu' : `${cpus.length} × ${cpus[0]!.model.trim()}`;
  } catch {
    return 'unknown cpu';
  }
}

function placeOf(surroundings: Surroundings): string {
  if ('ServiceWorkerGlobalScope' in surroundings) return 'service worker';
  if ('SharedWorkerGlobalScope' in surroundings) return 'shared worker';
  if ('WorkerGlobalScope' in surroundings) return 'worker';
  return 'document' in surroundings ? 'page' : 'host';
}
