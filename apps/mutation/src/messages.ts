// A plugin of Stryker: it keeps mutants out of the messages of errors, but not out of their codes.
import type { Ignorer, NodePath } from '@stryker-mutator/api/ignore';
import { declareValuePlugin, PluginKind, type ValuePlugin } from '@stryker-mutator/api/plugin';

/** The part of Babel's `NodePath` that is used here. */
interface Path extends NodePath {
  readonly listKey?: string;
  readonly node: { readonly type: string; readonly value?: unknown };
  readonly parent?: { readonly callee?: Callee };
}

/** `refuse` or, as a property, `core.fail`. */
interface Callee {
  readonly name?: string;
  readonly property?: { readonly name?: string };
}

const isCode = ({ type, value }: Path['node']) => type === 'StringLiteral' && /^[A-Z_]+$/.test(String(value));

const ignorer: Ignorer = {
  shouldIgnore(path) {
    const { listKey, node, parent } = path as Path;
    const callee = parent?.callee?.name ?? parent?.callee?.property?.name;
    const fails = callee === 'refuse' || callee === 'BatchNormError';
    return fails && listKey === 'arguments' && !isCode(node) ? 'the text of a message' : undefined;
  },
};

export const strykerPlugins: readonly ValuePlugin<PluginKind.Ignore>[] = [
  declareValuePlugin(PluginKind.Ignore, 'messages', ignorer),
];
