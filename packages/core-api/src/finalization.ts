// Frees what was dropped without `dispose()` when the garbage collector finds it, in engines that tell.

interface Releasable {
  release(): void;
}

const registry: FinalizationRegistry<readonly Releasable[]> | undefined =
  typeof FinalizationRegistry === 'undefined'
    ? undefined
    : new FinalizationRegistry((resources) => {
        for (const resource of resources) resource.release();
      });

/**
 * Releases `resources` when nobody can reach `owner` any more. A resource must not refer to `owner`, and it is an
 * object, not a function: a closure keeps alive whatever the closures of its scope use, which may be `owner`.
 */
export function releaseWhenDropped(owner: object, ...resources: readonly Releasable[]): void {
  registry?.register(owner, resources, owner);
}

/** Undoes `releaseWhenDropped`: `owner` releases its resources by itself. */
export function releasedByOwner(owner: object): void {
  registry?.unregister(owner);
}
