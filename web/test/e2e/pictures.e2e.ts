/** The pictures in the README, of the app as people get it. Made by `scripts/shots.sh`, and left out where nobody wants them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openBrowser, PATIENCE_MS, settled } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

const FOLDER = process.env["COVEY_PICTURES"];
/** What a page has room for beside its text, sharp on a screen of today. */
const SIZE = { width: 1180, height: 740 };
const SCALE = 1.5;
/** Letters stay crisp, and a picture stays under 100 KiB. */
const QUALITY = 0.86;
const MOST_BYTES = 120 * 1024;

let browser: Browser;
let nodes: TestNode[] = [];
let proxy: Proxy;
let garden: string;
let harvest: string;

beforeAll(async () => {
  if (!FOLDER) return;
  mkdirSync(FOLDER, { recursive: true });
  [browser, ...nodes] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop"), startNode("Bob", "bob-phone"), startNode("Cleo", "cleo-desktop")]);
  const [ada, bob, cleo] = nodes as [TestNode, TestNode, TestNode];
  garden = (await ada.client.createSpace("garden")).id;
  await ada.client.createSpace("household");
  for (const one of [bob, cleo]) await one.client.join((await ada.client.invite(garden, "member")).code, 30);
  harvest = await converse(ada, bob, cleo);
  proxy = await startProxy(ada, null);
});
afterAll(async () => {
  await browser?.close();
  await proxy?.stop();
  await Promise.all(nodes.map((node) => node.stop()));
});

/** Outside of a test `expect.poll` can't be used. */
const until = (fits: () => Promise<boolean>): Promise<void> =>
  vi.waitFor(async () => {
    if (!(await fits())) throw new Error("not yet");
  }, { timeout: PATIENCE_MS, interval: 100 });

/** A morning in the garden. Gives the channel in which it was talked about. */
async function converse(ada: TestNode, bob: TestNode, cleo: TestNode): Promise<string> {
  const channel = await ada.client.createChannel(garden, { name: "harvest", private: false, topic: "What is ripe, and who picks it" });
  for (const name of ["general", "tools"]) await ada.client.createChannel(garden, { name, private: false, topic: "" });
  const arrived = (node: TestNode, id: string) => until(() => node.client.message(garden, id).then(() => true, () => false));
  await until(async () => (await Promise.all([bob, cleo].map((one) => one.client.channels(garden)))).every(({ items }) => items.length === 3));
  const say = async (node: TestNode, text: string, reply_to?: string) => {
    const message = await node.client.sendMessage(garden, channel.id, { text, client_id: crypto.randomUUID(), ...(reply_to && { reply_to }) });
    for (const other of [ada, bob, cleo]) await arrived(other, message.id);
    return message.id;
  };
  await say(bob, "Morning! The first beans are ready.");
  const picked = await say(bob, "I picked **two kilos** before the rain, and `bed 3` still has more.");
  await cleo.client.react(garden, picked, "\u{1F331}", true);
  await ada.client.react(garden, picked, "\u{1F331}", true);
  await say(ada, "Lovely. I can come at noon.\n\n- bring the crates\n- and the *sharp* knife");
  const stall = await say(cleo, "@Ada who takes the market stall on Saturday?");
  await say(bob, "I can until eleven.", stall);
  await say(ada, "Then I take over.", stall);
  await bob.client.react(garden, stall, "\u{1F44D}", true);
  await say(cleo, "> I can come at noon.\n\nPerfect. What goes where:\n```yaml\nbeds:\n  3: bean\n  4: pea\n```");
  const last = await say(ada, "The crates are in the car.");
  for (const one of [ada, bob, cleo]) await one.client.markRead(garden, channel.id, last);
  const users = (await cleo.client.members(garden)).filter((one) => one.name === "Ada").map((one) => one.user_id);
  const direct = await cleo.client.direct(garden, users);
  await cleo.client.sendMessage(garden, direct.id, { text: "Do you have the shed's key?", client_id: crypto.randomUUID() });
  await until(async () => (await ada.client.channels(garden)).items.some((one) => one.kind === "direct" && one.unread > 0));
  await ada.client.setPresence("online");
  await bob.client.setPresence("online");
  return channel.id;
}

/** As WebP, which a browser can make and this machine's tools may not. */
async function picture(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await settled(page);
  const png = (await page.screenshot({ animations: "disabled" })).toString("base64");
  const blank = await browser.newPage();
  const webp = await blank.evaluate(async ([data, quality]) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d")?.drawImage(image, 0, 0);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/webp", quality })).arrayBuffer());
    return Array.from(bytes);
  }, [png, QUALITY] as const);
  await blank.close();
  expect(webp.length).toBeLessThan(MOST_BYTES);
  writeFileSync(join(FOLDER ?? "", `${name}.webp`), Buffer.from(webp));
}

for (const theme of ["light", "dark"] as const) {
  test(`pictures of the app, ${theme}`, async ({ skip }) => {
    skip(!FOLDER, "nobody wants pictures");
    const context = await browser.newContext({ viewport: SIZE, deviceScaleFactor: SCALE, colorScheme: theme, reducedMotion: "reduce", locale: "en-GB" });
    const page = await context.newPage();
    await page.goto(`${proxy.url}/s/${garden}/c/${harvest}`);
    await page.getByText("read by 2").last().waitFor();
    await page.getByRole("button", { name: "2 replies" }).click();
    await page.getByRole("complementary", { name: "Thread" }).getByText("Then I take over.").waitFor();
    await picture(page, `conversation-${theme}`);
    await page.goto(`${proxy.url}/s/${garden}/people`);
    await page.getByRole("button", { name: "Invite", exact: true }).click();
    await page.getByRole("img", { name: "QR code of the link" }).waitFor();
    await picture(page, `invite-${theme}`);
    await page.goto(`${proxy.url}/network`);
    await page.getByRole("row", { name: /cleo-desktop/ }).getByText("in sync").waitFor();
    await page.getByRole("row", { name: /bob-phone/ }).getByText("in sync").waitFor();
    await picture(page, `network-${theme}`);
    await context.close();
  });
}
