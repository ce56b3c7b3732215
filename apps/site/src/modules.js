// A plugin of TypeDoc: modules have the names by which they are imported, what their packages or files say of them, and an
// order in which `batchnorm` is the first. It is converted last, so that what it exports again belongs to where it is from.
import { existsSync, readFileSync } from 'node:fs';
import { Comment, Converter, ReflectionKind } from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load({ converter }) {
  converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return;
    const [, folder, file] = /^(packages\/[^/]+)\/src(?:\/(.+))?$/.exec(reflection.name);
    const { name, description } = JSON.parse(read(`${folder}/package.json`));
    const isWhole = file === undefined || file === 'index';
    reflection.name = isWhole ? name : `${name}/${file}`;
    const text = isWhole ? description : firstLineOf(`${folder}/src/${file}`);
    reflection.comment = new Comment([{ kind: 'text', text }]);
  });
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    project.children.sort((a, b) => Number(b.name === 'batchnorm') - Number(a.name === 'batchnorm'));
  });
}

/** What the module says of itself: a file, or the index of a folder. */
function firstLineOf(path) {
  const file = [`${path}.ts`, `${path}/index.ts`].find((name) => existsSync(urlOf(name)));
  return /^(?:#!.*\n)?\/\/ (.*)\n/.exec(read(file))[1];
}

const urlOf = (path) => new URL(`../../../${path}`, import.meta.url);
const read = (path) => readFileSync(urlOf(path), 'utf8');
