// Whether everything that goes into the app may be passed on under the project's licences.
import { readFileSync } from "node:fs";

const ALLOWED = new Set(["MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Unlicense", "OFL-1.1", "Unicode-3.0", "MIT OR Apache-2.0"]);
const { packages } = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"));
const shipped = Object.entries(packages).filter(([path, one]) => path.startsWith("node_modules/") && !one.dev && !one.devOptional && !one.link);
const wrong = shipped.filter(([, one]) => !ALLOWED.has(one.license));
for (const [path, one] of wrong) console.log(`${path}: ${one.license ?? "says no licence"}`);
console.log(`licences: ${shipped.length - wrong.length} of ${shipped.length} packages of the app are fine`);
process.exit(wrong.length === 0 && shipped.length > 0 ? 0 : 1);
