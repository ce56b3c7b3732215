// A plugin of TypeDoc: modules have the names by which they are imported, and not those of their files.
import { Converter, ReflectionKind } from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load({ converter }) {
  converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    if (reflection.kindOf(ReflectionKind.Module)) reflection.name = importedAs(reflection.name);
  });
}

/** `packages/core-api/src/finalization` is `@batchnorm/core-api/finalization`. */
function importedAs(name) {
  const path = name.replace(/^packages\/|\/src(\/index)?/g, '');
  return path === 'batchnorm' ? path : `@batchnorm/${path}`;
}
