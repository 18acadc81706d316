/** CSV as RFC 4180 has it, and what spreadsheets make of it: quotes, line breaks in fields, a mark at the start. */

/** Rows of fields. Stops at a quote that is never closed. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = "";
  let quoted = false;
  const source = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  const endRow = () => {
    row.push(field);
    if (row.length > 1 || field !== "") rows.push(row);
    row = [];
    field = "";
  };
  for (let i = 0; i < source.length; i++) {
    const c = source[i];
    if (quoted) {
      if (c === '"' && source[i + 1] === '"') {
        field += '"';
        i++;
      } else if (c === '"') quoted = false;
      else field += c;
    } else if (c === '"' && field === "") quoted = true;
    else if (c === ",") {
      row.push(field);
      field = "";
    } else if (c === "\n") endRow();
    else if (c !== "\r" || source[i + 1] !== "\n") field += c;
  }
  if (quoted) throw new Error(`A quote in row ${rows.length + 1} is never closed.`);
  if (field !== "" || row.length > 0) endRow();
  return rows;
}

/** Lines as the node imports them: `{"id","doc"}` where there is a column `id`, otherwise the document alone. Fields stay texts. */
export function csvToLines(text: string): string {
  const [head, ...rows] = parseCsv(text);
  if (!head) throw new Error("The file is empty.");
  if (new Set(head).size !== head.length) throw new Error("Two columns have the same name.");
  return rows.map((row) => {
    const doc: Record<string, string> = {};
    head.forEach((name, at) => {
      const value = row[at];
      if (name !== "id" && value !== undefined && value !== "") doc[name] = value;
    });
    const id = row[head.indexOf("id")];
    return JSON.stringify(id ? { id, doc } : doc);
  }).join("\n");
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
