// A plugin of TypeDoc: modules have the names by which they are imported, what their packages or files say of them, and an
// order in which `batchnorm` is the first. It is converted last, so that what it exports again belongs to where it is from.
import { readFileSync } from 'node:fs';
import { Comment, Converter, ReflectionKind } from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load({ converter }) {
  converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return;
    const [, folder, file] = /^(packages\/[^/]+)\/src(?:\/(.+))?$/.exec(reflection.name);
    const { name, description } = JSON.parse(read(`${folder}/package.json`));
    const isWhole = file === undefined || file === 'index';
    reflection.name = isWhole ? name : `${name}/${file}`;
    const text = isWhole ? description : /^\/\/ (.*)\n/.exec(read(`${folder}/src/${file}.ts`))[1];
    reflection.comment = new Comment([{ kind: 'text', text }]);
  });
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    project.children.sort((a, b) => Number(b.name === 'batchnorm') - Number(a.name === 'batchnorm'));
  });
}

const read = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
