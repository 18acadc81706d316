/** Real nodes for the tests: each in a home of its own, found by the others on this network. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { createClient, type Client } from "@covey/client";

const TARGET = process.env["CARGO_TARGET_DIR"] ?? new URL("../../../target", import.meta.url).pathname;
const BINARY = process.env["COVEY_BIN"] ?? join(TARGET, "debug/covey");
const READY_MS = 60_000;

export interface TestNode {
  api: string;
  token: string;
  link: string;
  home: string;
  client: Client;
  /** A fresh link that signs one browser in. */
  newLink: () => Promise<string>;
  /** Signs all browsers out, as `covey web --sign-out` does. */
  signOut: () => Promise<void>;
  stop: () => Promise<void>;
  /** Ends it and starts it again, on another network if one is named. What is to happen while it's away can be given. */
  restart: (network?: string, meanwhile?: () => Promise<void>) => Promise<TestNode>;
}

export async function startNode(name: string, device: string, options: { network?: string; home?: string; port?: number } = {}): Promise<TestNode> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), "covey-web-"));
  const args = ["--home", home, "up", "--name", name, "--device", device, "--network", options.network ?? "lan", "--api", `127.0.0.1:${options.port ?? 0}`, "--json"];
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"] });
  const said: string[] = [];
  child.stderr.on("data", (data: Buffer) => said.push(data.toString()));
  const ready = await firstLine(child, said);
  const { token } = JSON.parse(readFileSync(join(home, "api.json"), "utf8")) as { token: string };
  const end = () => ended(child);
  return {
    api: ready.api,
    token,
    link: ready.web,
    home,
    client: createClient({ base: ready.api, token }),
    newLink: async () => {
      const answer = await fetch(`${ready.api}/api/v1/web-link`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
      return ((await answer.json()) as { link: string }).link;
    },
    signOut: async () => {
      await fetch(`${ready.api}/api/v1/browsers`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } });
    },
    stop: async () => {
      await end();
      rmSync(home, { recursive: true, force: true });
    },
    restart: async (network = options.network ?? "lan", meanwhile) => {
      await end();
      await meanwhile?.();
      return startNode(name, device, { network, home, port: Number(new URL(ready.api).port) });
    },
  };
}

/** Runs a command of the terminal against a node; what it printed. One that fails is an error that holds what it said. */
export async function covey(node: TestNode, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(BINARY, ["--home", node.home, ...args])).stdout;
}

function firstLine(child: ChildProcess, said: string[]): Promise<{ api: string; web: string }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the node was not ready in time: ${said.join("")}`)), READY_MS);
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}: ${said.join("")}`)));
    child.once("error", reject);
    if (child.stdout) {
      createInterface(child.stdout).once("line", (line) => {
        clearTimeout(timer);
        resolve(JSON.parse(line) as { api: string; web: string });
      });
    }
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
