/**
 * CSV as RFC 4180 has it, and what spreadsheets make of it: quotes, line breaks in cells, a mark at the start. What becomes of a row is
 * what `covey record import` makes of it: a cell that is a JSON number or boolean becomes one, an empty cell is an absent field,
 * everything else is a text. `test/fixtures/csv.json` holds both to the same examples.
 */
import { count } from "./format.ts";

interface Row {
  /** As a spreadsheet counts: from 1, the names and the empty ones with it. */
  number: number;
  cells: string[];
}

/** The rows that aren't empty. Stops at a quote that is never closed. */
function* rowsOf(text: string): Generator<Row> {
  const source = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  let cells: string[] = [];
  let cell = "";
  let number = 1;
  // Where the cell began, and the row: a quote opens only the one, and nothing but a line break is the other.
  let from = 0;
  let start = 0;
  let quoted = false;
  for (let at = 0; at < source.length; at++) {
    const c = source[at];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (source[at + 1] === '"') cell += source[++at];
      else quoted = false;
    } else if (c === '"' && at === from) quoted = true;
    else if (c === ",") {
      cells.push(cell);
      cell = "";
      from = at + 1;
    } else if (c === "\n" || c === "\r") {
      if (at > start) yield { number, cells: [...cells, cell] };
      if (c === "\r" && source[at + 1] === "\n") at++;
      [cells, cell, from, start] = [[], "", at + 1, at + 1];
      number++;
    } else cell += c;
  }
  if (quoted) throw new Error(`A quote in row ${number} is never closed.`);
  if (start < source.length) yield { number, cells: [...cells, cell] };
}

/** A number or a boolean as JSON writes them: `007` and `1,5` are not. */
const isJson = (cell: string): boolean =>
  cell === "true" || cell === "false" || (/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(cell) && Number.isFinite(Number(cell)));

/** A document on a line for each row. Numbers stay as they are written: those of JavaScript are less exact. */
export function csvToLines(text: string): string {
  const rows = rowsOf(text);
  const first = rows.next();
  if (first.done) throw new Error("The file is empty.");
  const names = first.value.cells;
  if (new Set(names).size !== names.length) throw new Error("Two columns have the same name.");
  const lines: string[] = [];
  for (const { number, cells } of rows) {
    if (cells.length !== names.length) throw new Error(`Row ${number} has ${count(cells.length, "cell")}, and the first row names ${count(names.length, "field")}. Nothing was imported.`);
    const fields = cells.flatMap((cell, at) => (cell === "" ? [] : [`${JSON.stringify(names[at])}:${isJson(cell) ? cell : JSON.stringify(cell)}`]));
    lines.push(`{${fields.join(",")}}\n`);
  }
  return lines.join("");
}

const cell = (value: unknown): string => {
  const text = value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
  // A spreadsheet would run what begins like this as a formula.
  const safe = /^[=+@\t\r]|^-[^\d]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export function toCsv(records: { id: string; doc: Record<string, unknown> }[]): string {
  const fields = [...new Set(records.flatMap((record) => Object.keys(record.doc)))].filter((name) => name !== "id");
  const lines = records.map((record) => [record.id, ...fields.map((name) => record.doc[name])].map(cell).join(","));
  return [["id", ...fields].map(cell).join(","), ...lines, ""].join("\r\n");
}
