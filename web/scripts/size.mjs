// How much script the first load takes, gzipped: what the document names and everything that those files import at once.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 200 * 1024;
const dist = new URL("../dist/", import.meta.url);
const html = readFileSync(new URL("index.html", dist), "utf8");
const seen = new Map();

function add(path) {
  if (seen.has(path)) return;
  const text = readFileSync(new URL(`.${path}`, dist));
  seen.set(path, gzipSync(text, { level: 9 }).length);
  const source = text.toString("utf8");
  for (const [, name] of source.matchAll(/(?:import|from)\s*"\.\/([\w.-]+\.js)"/g)) add(`/assets/${name}`);
}

for (const [, path] of html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)) add(path);
let total = 0;
for (const [path, size] of seen) {
  total += size;
  console.log(`${String(size).padStart(8)}  ${path}`);
}
console.log(`${String(total).padStart(8)}  bytes of script at first load, gzipped (at most ${LIMIT})`);
if (seen.size === 0 || total > LIMIT) process.exit(1);
