// Columns of tables, in Markdown and in terminals.

/** The head of a column of texts, or more about a column. */
export type Column = string | ColumnFormat;

export interface ColumnFormat {
  readonly head: string;
  /** Whether its cells are numbers, which end below each other. */
  readonly right?: boolean;
  /** Of its text in a terminal, in characters: longer ones are wrapped. Default: as wide as its longest cell. */
  readonly width?: number;
}

/** A column of numbers. */
export function right(head: string): ColumnFormat {
  return { head, right: true };
}

export function formatOf(column: Column): ColumnFormat {
  return typeof column === 'string' ? { head: column } : column;
}
