// A text for the platform on which a program runs: a cached choice that was made on another platform is ignored.

/** The part of Node's `process` that says where it runs. */
interface NodeProcess {
  readonly versions?: { readonly node?: string };
  readonly platform: string;
  readonly arch: string;
  /** Since Node 20.16. Gets a built-in module without an import statement, which a bundler would try to resolve. */
  getBuiltinModule?(name: 'node:os'): { cpus(): readonly { readonly model: string }[] } | undefined;
}

/** The globals of Node or of a browser. */
interface Surroundings {
  readonly process?: NodeProcess;
  readonly navigator?: { readonly userAgent?: string; readonly hardwareConcurrency?: number };
  /** Whether memory can be shared with worker threads. */
  readonly crossOriginIsolated?: boolean;
}

/** 'Node 20.19.0, linux x64, 2 × Intel Xeon', or the browser's user agent and its number of threads. */
export function platformFingerprint(surroundings: Surroundings = globalThis as Surroundings): string {
  const { process, navigator, crossOriginIsolated } = surroundings;
  if (process?.versions?.node !== undefined) {
    const cpus = process.getBuiltinModule?.('node:os')?.cpus() ?? [];
    const cpu = cpus.length === 0 ? 'unknown cpu' : `${cpus.length} × ${cpus[0]!.model.trim()}`;
    return `Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cpu}`;
  }
  const isolation = crossOriginIsolated ? 'cross-origin isolated' : 'not cross-origin isolated';
  return `${navigator?.userAgent ?? 'unknown platform'}, ${navigator?.hardwareConcurrency ?? '?'} threads, ${isolation}`;
}
