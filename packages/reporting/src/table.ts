// Columns of tables, in Markdown and in terminals.

export interface Column {
  readonly head: string;
  /** Whether its cells are numbers, which end below each other. */
  readonly right?: boolean;
  /** Of its text in a terminal, in characters: longer ones are wrapped. */
  readonly width?: number;
}

/** A column of numbers. */
export function right(head: string): Column {
  return { head, right: true };
}
