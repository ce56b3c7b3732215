// Writes the data: `node write.js FOLDER FILES ROWS COLUMNS`, with so many rows in each file.
import { connect, fileOf, writeFile } from './data.js';

const [folder, ...numbers] = process.argv.slice(2);
const [files, rows, columns] = numbers.map(Number) as [number, number, number];
const connection = await connect();
for (let n = 0; n < files; n++) await writeFile(connection, fileOf(folder!, n), rows, columns, n);
connection.closeSync();
