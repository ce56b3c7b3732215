// The data: Parquet files of float32 columns, seeded, written and read by DuckDB. Its SQL aggregates are not used: on
// several threads they add up in another order in every run.
import { join } from 'node:path';
import type { Tensor } from '@batchnorm/core-api';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/** Rows of a batch at most: what is in memory at a time. */
const batchRows = 16_384;

/** One thread, which keeps the order of rows, and some memory. */
export async function connect(): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '256MB' });
  return instance.connect();
}

export function fileOf(folder: string, n: number): string {
  return join(folder, `part-${String(n).padStart(3, '0')}.parquet`);
}

/** Writes `rows` rows of `columns` columns: column c is uniform from c to c + 1, all digits of it random. */
export async function writeFile(
  connection: DuckDBConnection,
  path: string,
  rows: number,
  columns: number,
  seed: number,
): Promise<void> {
  const column = (_: unknown, c: number) =>
    `(${c} + (hash(i * ${columns} + ${c} + ${seed}::BIGINT * 1000000007) % 16777216) / 16777216.0)::FLOAT AS c${c}`;
  const select = `SELECT ${Array.from({ length: columns }, column).join(', ')} FROM range(${rows}) AS t(i)`;
  await connection.run(`COPY (${select}) TO '${path}' (FORMAT parquet, COMPRESSION uncompressed)`);
}

/** The rows of a file, in order, as [rows, columns] batches. A batch is written over when the next one is asked for. */
export async function* batchesOf(
  connection: DuckDBConnection,
  path: string,
): AsyncGenerator<Tensor & { data: Float32Array }> {
  const result = await connection.stream(`SELECT * FROM read_parquet('${path}')`);
  const C = result.columnCount;
  const data = new Float32Array(batchRows * C);
  let rows = 0;
  for await (const chunk of result) {
    if (rows + chunk.rowCount > batchRows) {
      yield { data: data.subarray(0, rows * C), shape: [rows, C] };
      rows = 0;
    }
    const begin = rows * C;
    for (let c = 0; c < C; c++) {
      chunk.visitColumnValues(c, (value, row) => {
        data[begin + row * C + c] = value as number;
      });
    }
    rows += chunk.rowCount;
  }
  if (rows > 0) yield { data: data.subarray(0, rows * C), shape: [rows, C] };
}
