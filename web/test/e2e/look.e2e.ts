import { afterAll, beforeAll, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { openBrowser, openTab, settled, shot, tooWide, violations } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

let browser: Browser;
let ada: TestNode;
let bob: TestNode;
let proxy: Proxy;
let fresh: TestNode;
let freshProxy: Proxy;
let garden: string;
let house: string;
let beds: string;
let thread: string;

beforeAll(async () => {
  [browser, ada, bob, fresh] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop"), startNode("Bob", "bob-phone"), startNode("Cleo", "cleo-laptop", { network: "solo" })]);
  garden = (await ada.client.createSpace("garden")).id;
  const invite = await ada.client.invite(garden, "member");
  await bob.client.join(invite.code, 30);
  // Of its own, since a space that has channels begins with one.
  house = (await ada.client.createSpace("household")).id;
  for (let n = 0; n < 14; n++) await ada.client.putRecord(garden, "plants", `p${n}`, { name: ["broad bean", "pea", "leek", "garlic"][n % 4] ?? "", bed: n % 5, sown: `2026-03-${10 + n}` });
  await ada.client.putRecord(garden, "tools", "spade", { name: "spade", where: "shed" });
  beds = (await ada.client.createChannel(house, { name: "beds", private: false, topic: "Which bed holds what, in a sentence that is longer than a phone is wide" })).id;
  const said = await ada.client.sendMessage(house, beds, { text: `A word that is ${"very".repeat(40)} long, and\n\`\`\`\n${"code ".repeat(40)}\n\`\`\``, client_id: crypto.randomUUID() });
  await ada.client.sendMessage(house, beds, { text: "an answer", client_id: crypto.randomUUID(), reply_to: said.id });
  thread = said.id;
  proxy = await startProxy(ada, null);
  freshProxy = await startProxy(fresh, null);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([proxy?.stop(), freshProxy?.stop()]);
  await Promise.all([ada?.stop(), bob?.stop(), fresh?.stop()]);
});

const PAGES: [string, string, string][] = [
  ["home", "", "garden"],
  ["channel", "/s/HOUSE/c/BEDS", "beds"],
  ["channel-about", "/s/HOUSE/c/BEDS?side=people", "beds"],
  ["channel-thread", "/s/HOUSE/c/BEDS?thread=THREAD", "beds"],
  ["search", "/s/HOUSE/search?q=answer", "Search"],
  ["people", "people", "People"],
  ["audit", "audit", "Audit log"],
  ["data", "data/plants", "Data"],
  ["network", "/network", "Network"],
  ["devices", "/devices", "Your devices"],
  ["settings", "/settings", "Settings"],
  ["nothing", "/nowhere", ""],
];

/** A path that begins with a slash is the app's; any other one the garden's. */
const urlOf = (path: string): string => {
  const to = path.replace("HOUSE", house).replace("BEDS", beds).replace("THREAD", thread);
  return to.startsWith("/") ? proxy.url + to : `${proxy.url}/s/${garden}/${to}`.replace(/\/$/, "");
};

for (const dark of [false, true]) {
  for (const phone of [false, true]) {
    test(`every page can be read and used, ${dark ? "dark" : "light"}${phone ? " on a phone" : ""}`, async () => {
      const { page, complaints, context } = await openTab(browser, { dark, phone });
      const tag = `${dark ? "dark" : "light"}${phone ? "-phone" : ""}`;
      const found: string[] = [];
      for (const [name, path, title] of PAGES) {
        await page.goto(urlOf(path));
        if (title && !(phone && /^(home|channel-)/.test(name))) await page.getByRole("heading", { name: title, level: 1 }).waitFor();
        await settled(page);
        await shot(page, `${name}-${tag}`);
        for (const one of await violations(page)) found.push(`${name}: ${one.rule} at ${one.where.slice(0, 3).join(", ")} (${one.why})`);
        for (const one of await tooWide(page)) found.push(`${name}: too wide: ${one}`);
      }
      await page.goto(freshProxy.url);
      await page.getByRole("heading", { name: "This is Covey." }).waitFor();
      await shot(page, `welcome1-${tag}`);
      for (const one of await violations(page)) found.push(`welcome: ${one.rule} at ${one.where.join(", ")} (${one.why})`);
      await context.close();
      expect(found).toEqual([]);
      expect(complaints).toEqual([]);
    });
  }
}

/** Each window that opens over a page: its name, where, and by which button. */
const WINDOWS: [string, string, string, string][] = [
  ["new-channel", "", "New channel", "A new place to talk"],
  ["import", "data/plants", "Import", "Import into plants"],
  ["export", "data/plants", "Export", "Export plants"],
  ["link-device", "/devices", "Link a device", "Link another device of yours"],
  ["invite", "people", "Invite", "Invite someone to garden"],
];

for (const phone of [false, true]) {
  test(`every window over a page can be read and used${phone ? " on a phone" : ""}, in light and dark`, async () => {
    const found: string[] = [];
    for (const dark of [false, true]) {
      const { page, complaints, context } = await openTab(browser, { dark, phone });
      const tag = `${dark ? "dark" : "light"}${phone ? "-phone" : ""}`;
      const check = async (name: string) => {
        await settled(page);
        await shot(page, `window-${name}-${tag}`);
        for (const one of await violations(page)) found.push(`${name} ${tag}: ${one.rule} at ${one.where.slice(0, 3).join(", ")} (${one.why})`);
        for (const one of await tooWide(page)) found.push(`${name} ${tag}: too wide: ${one}`);
      };
      for (const [name, path, button, title] of WINDOWS) {
        await page.goto(urlOf(path));
        await page.getByRole("button", { name: button, exact: true }).click();
        const dialog = page.getByRole("dialog", { name: title });
        await dialog.waitFor();
        await check(name);
        if (name !== "new-channel") continue;
        for (const kind of ["Private channel", "Direct"]) {
          await dialog.getByText(kind, { exact: true }).click();
          await check(`${name}-${kind.split(" ")[0]?.toLowerCase()}`);
        }
      }
      expect(complaints).toEqual([]);
      await context.close();
    }
    expect(found).toEqual([]);
  });
}

test("whoever wants no movement gets none", async () => {
  /** The longest time that anything on the page takes to change or to move, in milliseconds. */
  const longest = async (motion: boolean) => {
    const { page, context } = await openTab(browser, { motion });
    await page.goto(`${proxy.url}/s/${garden}/people`);
    await page.getByRole("heading", { name: "People", level: 1 }).waitFor();
    await page.getByRole("button", { name: "Invite", exact: true }).click();
    await page.getByRole("dialog").waitFor();
    const times = await page.evaluate(() => {
      const ms = (text: string) => text.split(",").map((one) => Number.parseFloat(one) * (one.trim().endsWith("ms") ? 1 : 1000));
      return [...document.querySelectorAll("*")].flatMap((one) => {
        const { transitionDuration, animationName, animationDuration } = getComputedStyle(one);
        return [...ms(transitionDuration), ...(animationName === "none" ? [] : ms(animationDuration))];
      });
    });
    await context.close();
    return Math.max(...times);
  };
  expect(await longest(true)).toBeGreaterThan(50);
  expect(await longest(false)).toBeLessThanOrEqual(1);
});
