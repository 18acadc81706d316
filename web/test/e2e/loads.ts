/** How long the page that a node serves takes, with an empty cache each time: for the test of it, and for the figures of `scripts/bench.sh`. */
import type { Channel } from "@covey/client";
import type { Browser, Page } from "playwright-core";
import { openTab, type Tab } from "./browser.ts";
import type { TestNode } from "./nodes.ts";

/** So many requests at once fill a channel quickly, and are fewer than a node takes. */
const AT_ONCE = 16;
const IMPORTED_AT_ONCE = 10_000;

export async function filledChannel(node: TestNode, space: string, name: string, messages: number): Promise<Channel> {
  const channel = await node.client.createChannel(space, { name, private: false, topic: "" });
  for (let n = 0; n < messages; n += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, messages - n) }, (_, at) => n + at);
    await Promise.all(some.map((at) => node.client.sendMessage(space, channel.id, { text: `message number ${at}`, client_id: crypto.randomUUID() })));
  }
  return channel;
}

/** As many messages as years bring, written as this device would have written them, in one go. */
export async function largeChannel(node: TestNode, space: string, name: string, messages: number): Promise<Channel> {
  const channel = await node.client.createChannel(space, { name, private: false, topic: "" });
  const [tag] = channel.id.split(".");
  const line = (n: number) => JSON.stringify({ id: `${tag}.${String(n).padStart(16, "0")}`, doc: { in: channel.id, text: `message number ${n}` } });
  for (let n = 0; n < messages; n += IMPORTED_AT_ONCE) {
    const lines = Array.from({ length: Math.min(IMPORTED_AT_ONCE, messages - n) }, (_, at) => line(n + at));
    await node.client.importRecords(space, "own.chat.messages", lines.join("\n"));
  }
  return channel;
}

/** The place to write, once one can. */
export const writable = (channel: Channel): string => `textarea[aria-label="Write to #${channel.name}"]:not([readonly])`;

/** Looks at a page before it's loaded, and gives what has to be done before it's closed. */
type Look = (page: Page) => () => Promise<void>;
const NOT_AT_ALL: Look = () => () => Promise.resolve();

/** Opens an address of the node in a browser that has nothing of it yet; the answer is after how many milliseconds there was what was wanted. */
export async function coldLoad(browser: Browser, node: TestNode, path: string, wanted: string, look = NOT_AT_ALL): Promise<number> {
  const { page, context } = await openTab(browser);
  // The cookie alone: opening the link in a page would fill the cache.
  await context.request.get(await node.newLink());
  const looked = look(page);
  await page.addInitScript((selector) => {
    const isThere = () => (document.querySelector(selector) ? requestAnimationFrame(() => performance.mark("usable")) : requestAnimationFrame(isThere));
    requestAnimationFrame(isThere);
  }, wanted);
  await page.goto(node.api + path);
  await page.waitForFunction(() => performance.getEntriesByName("usable").length > 0);
  const time = await page.evaluate(() => performance.getEntriesByName("usable")[0]?.startTime ?? Number.NaN);
  await looked();
  await context.close();
  return time;
}

/** So long a pointer rests on what is about to be pressed, at least: people aim before they press. */
const AIMING_MS = 100;

/** Opens a channel that the page hasn't shown yet, from another one: how many milliseconds from the click until what was wanted is drawn. */
export async function opening(page: Page, space: string, to: Channel, wanted: string): Promise<number> {
  const opened = await page.evaluateHandle((selector) => {
    const drawn = new Promise<number>((resolve) => {
      document.addEventListener("click", ({ timeStamp }) => {
        // A task that is begun in a frame comes once that one is drawn.
        const look = () => (document.querySelector(selector) ? setTimeout(() => resolve(performance.now() - timeStamp)) : requestAnimationFrame(look));
        requestAnimationFrame(look);
      }, { capture: true, once: true });
    });
    return { drawn };
  }, wanted);
  await page.locator(`a[href^="/s/${space}/c/${to.id}"]`).first().hover();
  await page.waitForTimeout(AIMING_MS);
  await page.mouse.down();
  await page.mouse.up();
  return opened.evaluate(({ drawn }) => drawn);
}

/** A page that shows a channel, in a browser that has nothing of it yet, and has come to rest. */
export async function atRest(browser: Browser, node: TestNode, space: string, channel: Channel): Promise<Tab> {
  const tab = await openTab(browser);
  await tab.context.request.get(await node.newLink());
  await tab.page.goto(`${node.api}/s/${space}/c/${channel.id}`);
  await tab.page.locator(writable(channel)).waitFor();
  await tab.page.waitForLoadState("networkidle");
  return tab;
}
