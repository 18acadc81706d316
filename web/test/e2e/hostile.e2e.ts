/** Names, ids and files that try to be markup, to run, or to turn the text around them: between real nodes, on every page. */
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser, openTab, pwned, settled, shot, type Tab } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

const IMG = "<img src=x onerror=window.pwned=1>";
const SVG = "<svg onload=window.pwned=1>";
/** Turns the text behind it round, where nothing stops it. */
const TURN = "\u202e";
const HEBREW = "\u05d3\u05e0\u05d4";

let browser: Browser;
let ada: TestNode;
let mallory: TestNode;
let proxy: Proxy;
let tab: Tab;
let page: Page;
let space: string;
let hasChat = false;
const folder = mkdtempSync(join(tmpdir(), "covey-web-hostile-"));

beforeAll(async () => {
  [browser, ada, mallory] = await Promise.all([openBrowser(), startNode(`${HEBREW} \u{1F33B}`, "ada-laptop"), startNode(`${IMG}`, `${TURN}${SVG}`)]);
  space = (await ada.client.createSpace(`\u{1F33B} ${IMG}`)).id;
  await mallory.client.join((await ada.client.invite(space, "admin")).code, 30);
  await mallory.client.putRecord(space, SVG, IMG, { [IMG]: SVG, link: "javascript:window.pwned=1", [TURN]: `${TURN}abc`, nested: { "</script>": [IMG] } });
  hasChat = await ada.client.channels(space).then(() => true, () => false);
  if (hasChat) {
    const channel = await mallory.client.createChannel(space, { name: `${TURN}evil`, private: false, topic: IMG });
    for (const text of [IMG, `[x](javascript:window.pwned=1)`, `\u0060\u0060\u0060${SVG}\n${SVG}\n\u0060\u0060\u0060`, `${HEBREW} **${HEBREW}** and \u{1F468}\u200d\u{1F469}\u200d\u{1F467}`]) {
      await mallory.client.sendMessage(space, channel.id, { text, client_id: crypto.randomUUID() });
    }
  }
  proxy = await startProxy(ada, null);
  tab = await openTab(browser);
  page = tab.page;
});
afterAll(async () => {
  await browser?.close();
  await proxy?.stop();
  await Promise.all([ada?.stop(), mallory?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** Nothing of it ran, and nothing of it is an element of the page. */
async function unharmed(): Promise<void> {
  expect(await pwned(page)).toBeUndefined();
  expect(await page.locator("img[src=x], svg[onload], [onerror], [onload], a[href^=javascript]").count()).toBe(0);
  expect(tab.complaints).toEqual([]);
}

test("people, devices, the log, the network and the settings show such names as text", async () => {
  for (const path of [`/s/${space}/people`, `/s/${space}/audit`, `/s/${space}`, "/network", "/devices", "/settings"]) {
    await page.goto(proxy.url + path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await settled(page);
    await unharmed();
    await shot(page, `hostile${path.replaceAll("/", "-").replace(space, "s")}`);
  }
  await page.goto(`${proxy.url}/s/${space}/people`);
  await page.getByRole("heading", { name: IMG }).waitFor();
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("alertdialog").getByText(`Remove ${IMG} from`).first().waitFor();
  await unharmed();
  await page.getByRole("button", { name: "Cancel" }).click();
});

test("a name that turns text round turns nothing but itself", async () => {
  await page.goto(`${proxy.url}/s/${space}/people`);
  const line = page.getByRole("list", { name: "Members" }).locator("summary").filter({ hasText: "svg" });
  const name = await line.locator(".one-line").boundingBox();
  const state = await line.locator(".pill").boundingBox();
  if (!name || !state) throw new Error("the device isn't shown");
  expect(state.x).toBeGreaterThan(name.x + name.width - 1);
  // What stands in our own sentences is without those marks.
  await page.goto(`${proxy.url}/network`);
  await page.getByRole("heading", { name: "Network", level: 1 }).waitFor();
  expect(await page.title()).not.toContain(TURN);
});

test("collections, record ids, fields and values are text, also in what is exported", async () => {
  // By its link, since a name with such characters has to come through the address whole.
  await page.goto(`${proxy.url}/s/${space}/data/other`);
  await page.getByRole("navigation", { name: "Collections" }).getByRole("link", { name: SVG }).click();
  await settled(page);
  await shot(page, "hostile-data");
  await page.getByRole("button", { name: IMG, exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await shot(page, "hostile-record");
  await dialog.getByRole("heading", { name: `${SVG} / ${IMG}` }).waitFor();
  await unharmed();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Export" }).click();
  const [file] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("button", { name: "Save the file" }).click()]);
  expect(file.suggestedFilename()).toBe("_svg onload=window.pwned=1_.ndjson");
  expect(JSON.parse(readFileSync(await file.path(), "utf8"))).toMatchObject({ id: IMG });
  await dialog.getByText("1 record is in").waitFor();
  await unharmed();
  await page.keyboard.press("Escape");
});

test("a file's name and a broken line in it stay text when it is imported", async () => {
  const file = join(folder, "<img src=x onerror=pwned=1>.ndjson");
  writeFileSync(file, `{"name":"bean"}\n${IMG}\n`);
  await page.goto(`${proxy.url}/s/${space}/data/plants`);
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByLabel("File", { exact: true }).setInputFiles(file);
  await page.getByRole("dialog").getByRole("button", { name: "Import" }).click();
  await page.getByRole("dialog").getByRole("alert").waitFor();
  await shot(page, "hostile-import");
  await unharmed();
});

test("channels, topics and messages are text", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const channel = (await ada.client.channels(space)).items.find((one) => one.kind === "public");
  await page.goto(`${proxy.url}/s/${space}/c/${channel?.id}?side=people`);
  const log = page.getByRole("log", { name: "Messages" });
  await log.getByText(IMG).first().waitFor();
  await log.getByText("\u{1F468}\u200d\u{1F469}\u200d\u{1F467}").waitFor();
  await shot(page, "hostile-chat");
  expect(await log.locator("a").count()).toBe(0);
  // What is written from right to left stands at the right.
  const direction = await log.locator("p[dir=auto]").filter({ hasText: HEBREW }).evaluate((one) => getComputedStyle(one).direction);
  expect(direction).toBe("rtl");
  await unharmed();
});
