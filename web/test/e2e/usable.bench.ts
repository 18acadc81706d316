/** The page's figures: what the first load weighs, and how long people wait for it. Written as one line of JSON; see `scripts/bench.sh`. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser } from "./browser.ts";
import { coldLoad, filledChannel, firstOpening, largeChannel, writable } from "./loads.ts";
import { startNode, type TestNode } from "./nodes.ts";

const LOADS = Number(process.env["COVEY_BENCH_LOADS"] ?? 20);
const MANY = Number(process.env["COVEY_BENCH_MESSAGES"] ?? 100_000);

let browser: Browser;
let node: TestNode;
beforeAll(async () => {
  [browser, node] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop", { network: "solo" })]);
});
afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

/** Of the sorted times the one that so much of them don't exceed. */
const rank = (times: number[], share: number): number => Math.round(times[Math.ceil(share * times.length) - 1] ?? Number.NaN);

async function measured(once: () => Promise<number>): Promise<{ median: number; p95: number }> {
  const times: number[] = [];
  while (times.length < LOADS) times.push(await once());
  times.sort((a, b) => a - b);
  return { median: rank(times, 0.5), p95: rank(times, 0.95) };
}

test("how long one waits for the page", async () => {
  const sizes = spawnSync(process.execPath, ["scripts/size.mjs"], { encoding: "utf8" }).stdout.trim().split("\n");
  const first_load_script_bytes = Number.parseInt(sizes.at(-1) ?? "", 10);
  const space = (await node.client.createSpace("garden")).id;
  const harvest = await filledChannel(node, space, "harvest", 100);
  const usable_ms = await measured(() => coldLoad(browser, node, `/s/${space}/c/${harvest.id}`, writable(harvest)));
  const archive = await largeChannel(node, space, "archive", MANY);
  const [newest] = (await node.client.messages(space, archive.id, { limit: 1 })).items;
  const isOpen = `[data-message="${newest?.id}"]`;
  const open_channel_ms = await measured(() => firstOpening(browser, node, space, [harvest, archive], isOpen));
  const figures = { first_load_script_bytes, loads: LOADS, usable_ms, messages: MANY, open_channel_ms };
  for (const figure of [first_load_script_bytes, usable_ms.median, open_channel_ms.median]) expect(figure).toBeGreaterThan(0);
  writeFileSync(process.env["COVEY_BENCH_OUT"] ?? "/dev/stdout", `${JSON.stringify(figures)}\n`);
});
