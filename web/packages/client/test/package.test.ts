/** The package as npm hands it on: packed, installed elsewhere, and used by plain Node.js and by a program in TypeScript. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const here = join(import.meta.dirname, "..");

/** A stand-in for a node, which knows one token and two routes. */
const server: Server = createServer((request, response) => {
  const answer = (status: number, type: string, body: object) =>
    response.writeHead(status, { "content-type": type }).end(JSON.stringify(body));
  if (request.headers.authorization !== "Bearer right") {
    return answer(401, "application/problem+json", { type: "/problems/unauthorized", title: "t", status: 401, detail: "no such token" });
  }
  if (request.url === "/api/v1/spaces?all=true") return answer(200, "application/json", [{ id: "g", name: "garden" }]);
  return answer(404, "application/problem+json", { type: "/problems/not-found", title: "t", status: 404, detail: "not here" });
});

let folder: string;
let base: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "covey-client-"));
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: here });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf("[\n"))) as [{ filename: string; files: { path: string }[] }];
  const names = packed.files.map((file) => file.path);
  expect(names).toEqual(expect.arrayContaining(["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json", "dist/index.js", "dist/index.d.ts"]));
  expect(names.filter((name) => !/^(LICENSE-|README|package\.json$|dist\/[\w-]+(\.d\.ts|\.js)$)/.test(name))).toEqual([]);
  await writeFile(join(folder, "package.json"), '{"private":true,"type":"module"}');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", join(folder, packed.filename)], { cwd: folder });
}, 300_000);

afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

test("what is packed is licensed, public, and has a place", async () => {
  const about = JSON.parse(await readFile(join(folder, "node_modules/@covey/client/package.json"), "utf8"));
  expect(about.private).toBeUndefined();
  expect(about.license).toBe("MIT OR Apache-2.0");
  expect(about.repository.directory).toBe("web/packages/client");
});

test("plain Node.js imports it and asks a node", async () => {
  await writeFile(join(folder, "use.mjs"), `
    import { ApiError, createClient } from "@covey/client";
    const [base] = process.argv.slice(2);
    const spaces = await createClient({ base, token: "right" }).spaces({ all: true });
    const refused = await createClient({ base, token: "wrong" }).status().catch((error) => error);
    const nobody = await createClient({ base: "http://127.0.0.1:1", token: "x" }).status().catch((error) => error);
    console.log(JSON.stringify([spaces[0].name, refused instanceof ApiError, refused.status, refused.message, nobody.status]));
  `);
  const { stdout } = await run(process.execPath, ["use.mjs", base], { cwd: folder });
  expect(JSON.parse(stdout)).toEqual(["garden", true, 401, "no such token", 0]);
});

test("a program in TypeScript gets its types, and is told where it is wrong", async () => {
  await writeFile(join(folder, "right.ts"), `
    import { createClient, type Space } from "@covey/client";
    const node = createClient({ base: "http://127.0.0.1:1" });
    export const names = async (): Promise<string[]> => (await node.spaces()).map((space: Space) => space.name);
  `);
  await writeFile(join(folder, "wrong.ts"), `
    import { createClient } from "@covey/client";
    export const wrong: Promise<number> = createClient({ base: "" }).status();
  `);
  const compiler = join(dirname(createRequire(join(here, "package.json")).resolve("typescript/package.json")), "bin", "tsc");
  const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023", "--lib", "es2023,dom,dom.asynciterable"];
  const told = await run(process.execPath, [compiler, ...flags, "right.ts", "wrong.ts"], { cwd: folder }).catch((error: { stdout: string }) => error);
  expect(told.stdout).toMatch(/^wrong\.ts\(3,\d+\): error TS2322/);
  expect(told.stdout.trim().split("\n").filter((line) => line.includes("error TS"))).toHaveLength(1);
}, 180_000);
