/** The page's figures: what the first load weighs, and how long people wait for it. Written as one line of JSON; see `scripts/bench.sh`. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { Channel } from "@covey/client";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser } from "./browser.ts";
import { atRest, coldLoad, filledChannel, largeChannel, opening, writable } from "./loads.ts";
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
  const seeds = await filledChannel(node, space, "seeds", 100);
  const newest = async (channel: Channel) => `[data-message="${(await node.client.messages(space, channel.id, { limit: 1 })).items[0]?.id}"]`;
  const [inHarvest, inArchive, inSeeds] = await Promise.all([harvest, archive, seeds].map(newest)) as [string, string, string];
  // The first that the page opens after it was loaded, and one that it opens when others were opened before.
  const first_opening_ms = await measured(async () => {
    const { page, context } = await atRest(browser, node, space, harvest);
    const time = await opening(page, space, archive, inArchive);
    await context.close();
    return time;
  });
  const opening_ms = await measured(async () => {
    const { page, context } = await atRest(browser, node, space, harvest);
    for (let n = 0; n < 3; n++) {
      await opening(page, space, seeds, inSeeds);
      await opening(page, space, harvest, inHarvest);
    }
    const time = await opening(page, space, archive, inArchive);
    await context.close();
    return time;
  });
  const figures = { first_load_script_bytes, loads: LOADS, usable_ms, messages: MANY, first_opening_ms, opening_ms };
  for (const figure of [first_load_script_bytes, usable_ms.median, opening_ms.median]) expect(figure).toBeGreaterThan(0);
  writeFileSync(process.env["COVEY_BENCH_OUT"] ?? "/dev/stdout", `${JSON.stringify(figures)}\n`);
});
