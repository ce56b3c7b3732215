// A rule of behaviour: tried in every kind of memory, layout and size class, each of them a case of the kit.

import { type Check, repeated } from '../compare.js';
import type { Cell, ConformanceCase, SizeClass, Subject } from '../conformance-case.js';
import { memoryKinds, reasonAgainst, refusedMemory } from '../memory/kinds.js';
import { refusedByLimit } from '../refused-by-limit.js';
import { layouts, moreShapes, shapesOf, sizeClasses } from './extents.js';
import { Scene } from './scene.js';

export interface Rule {
  readonly name: string;
  readonly why: string;
  /** Whether a quick run leaves it out at every size. Default: it leaves out all but small activations. */
  readonly slow?: boolean;
  /** Why the rule is not tried in this cell, as the report shows it; undefined where it is tried. */
  readonly exempt?: (cell: Omit<Cell, 'rule'>, subject: Subject) => string | undefined;
  readonly run: (scene: Scene, cell: Cell, subject: Subject) => Promise<readonly Check[]>;
}

/** For rules about something that does not get larger with its activations. */
export const notLarge =
  (reason: string) =>
  ({ size }: { readonly size: SizeClass }): string | undefined =>
    size === 'elements' || size === 'rows or channels' ? reason : undefined;

export function casesOf(rule: Rule): ConformanceCase[] {
  return memoryKinds.flatMap((memory) =>
    layouts.flatMap((layout) => sizeClasses.map((size) => caseOf(rule, { rule: rule.name, memory, layout, size }))),
  );
}

const whereIs = { host: 'on the host', allocated: 'in allocated tensors', device: 'on the device' };

function caseOf(rule: Rule, cell: Cell): ConformanceCase {
  const { memory, layout, size } = cell;
  return {
    group: 'behaviour',
    source: `behaviour ${whereIs[memory]}`,
    name: `${rule.name} [${memory}, ${layout}, ${size}]`,
    why: rule.why,
    cell,
    slow: rule.slow ?? size !== 'small',
    inapplicable: (subject) => rule.exempt?.(cell, subject) ?? reasonAgainst(memory, subject),
    run: async (subject) => {
      const lacking = await refusedMemory(memory, subject);
      if (lacking) return lacking;
      const all = shapesOf[layout][size].flatMap(({ shape, other }) => [shape, other]);
      const refusal = await refusedByLimit(subject, [...all, ...moreShapes[layout][size]]);
      if (refusal) return refusal;
      const checks: Check[] = [];
      for (const shapes of shapesOf[layout][size]) {
        const scene = new Scene(subject, memory, shapes);
        try {
          for (const one of [...(await rule.run(scene, cell, subject)), scene.surroundings()]) {
            checks.push({ ...repeated(one, subject), what: `[${shapes.shape}] ${one.what}` });
          }
        } finally {
          await scene.dispose();
        }
      }
      return checks;
    },
  };
}
