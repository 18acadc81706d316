// Makes what the package is published as: dist/ from src/, and the licences, which stand once, at the top of the repository.
import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const here = join(import.meta.dirname, "..");
const dist = join(here, "dist");
const repository = join(here, "..", "..", "..");

rmSync(dist, { recursive: true, force: true });
// This package's own compiler, whoever starts the script, and from wherever.
const compiler = join(dirname(createRequire(join(here, "package.json")).resolve("typescript/package.json")), "bin", "tsc");
execFileSync(process.execPath, [compiler, "--project", join(here, "tsconfig.build.json")], { stdio: "inherit" });

// The compiler leaves the names of files in declarations as they are in the sources, which aren't there.
for (const name of readdirSync(dist).filter((one) => one.endsWith(".d.ts"))) {
  const file = join(dist, name);
  writeFileSync(file, readFileSync(file, "utf8").replace(/(from |import\()"(\.\/[\w-]+)\.ts"/g, '$1"$2.js"'));
}
for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(join(repository, name), join(here, name));
