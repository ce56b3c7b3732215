// Columns of tables, in Markdown and in terminals.

/** The head of a column of texts, or more about a column. */
export type Column = string | ColumnFormat;

export interface ColumnFormat {
  readonly head: string;
  /** Whether its cells are aligned to the right, as numbers are. Default false. */
  readonly right?: boolean;
  /** In a terminal, in characters, at most: longer texts are wrapped. Default: that of the longest cell. */
  readonly width?: number;
}

/** A column of numbers. */
export function right(head: string): ColumnFormat {
  return { head, right: true };
}

export function formatOf(column: Column): ColumnFormat {
  return typeof column === 'string' ? { head: column } : column;
}
