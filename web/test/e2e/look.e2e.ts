import { afterAll, beforeAll, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { openBrowser, openTab, settled, shot, violations } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

let browser: Browser;
let ada: TestNode;
let bob: TestNode;
let proxy: Proxy;
let fresh: TestNode;
let freshProxy: Proxy;
let garden: string;

beforeAll(async () => {
  [browser, ada, bob, fresh] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop"), startNode("Bob", "bob-phone"), startNode("Cleo", "cleo-laptop", { network: "solo" })]);
  garden = (await ada.client.createSpace("garden")).id;
  const invite = await ada.client.invite(garden, "member");
  await bob.client.join(invite.code, 30);
  await ada.client.createSpace("household");
  for (let n = 0; n < 14; n++) await ada.client.putRecord(garden, "plants", `p${n}`, { name: ["broad bean", "pea", "leek", "garlic"][n % 4] ?? "", bed: n % 5, sown: `2026-03-${10 + n}` });
  await ada.client.putRecord(garden, "tools", "spade", { name: "spade", where: "shed" });
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
  ["people", "people", "People"],
  ["audit", "audit", "Audit log"],
  ["data", "data/plants", "Data"],
  ["network", "/network", "Network"],
  ["devices", "/devices", "Your devices"],
  ["settings", "/settings", "Settings"],
  ["nothing", "/nowhere", ""],
];

for (const dark of [false, true]) {
  for (const phone of [false, true]) {
    test(`every page can be read and used, ${dark ? "dark" : "light"}${phone ? " on a phone" : ""}`, async () => {
      const { page, complaints, context } = await openTab(browser, { dark, phone });
      const tag = `${dark ? "dark" : "light"}${phone ? "-phone" : ""}`;
      const found: string[] = [];
      for (const [name, path, title] of PAGES) {
        await page.goto(path.startsWith("/") ? proxy.url + path : `${proxy.url}/s/${garden}/${path}`.replace(/\/$/, ""));
        if (title && !(phone && name === "home")) await page.getByRole("heading", { name: title, level: 1 }).waitFor();
        await settled(page);
        await shot(page, `${name}-${tag}`);
        for (const one of await violations(page)) found.push(`${name}: ${one.rule} at ${one.where.slice(0, 3).join(", ")} (${one.why})`);
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
