/** The app as people get it, served by real nodes: first run, people, devices, data, network, and what goes wrong. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser, openTab, pwned, shot, violations, type Tab } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";

let browser: Browser;
let ada: TestNode;
let bob: TestNode;
let adaTab: Tab;
let bobTab: Tab;

beforeAll(async () => {
  [browser, ada, bob] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop"), startNode("Bob", "bob-phone")]);
  [adaTab, bobTab] = await Promise.all([openTab(browser), openTab(browser, { phone: true })]);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([ada?.stop(), bob?.stop()]);
});

const heading = (page: Page, name: string | RegExp) => page.getByRole("heading", { name, level: 1 }).waitFor();
const spaceOf = async (node: TestNode) => {
  const space = (await node.client.status()).spaces.find((one) => one.name === "garden");
  if (!space) throw new Error("there is no space yet");
  return space;
};
const at = async (node: TestNode, path: string) => `${node.api}/s/${(await spaceOf(node)).id}/${path}`;

test("whoever has no link gets no app", async () => {
  const { page, context } = await openTab(browser);
  await page.goto(ada.api);
  await page.getByText("This is a Covey node").waitFor();
  expect(await page.locator("script").count()).toBe(0);
  const script = await fetch(`${ada.api}/assets/index.js`);
  expect(script.status).toBe(401);
  await page.goto(`${ada.api}/s/anything`);
  await page.getByText("This is a Covey node").waitFor();
  await context.close();
});

test("two people meet by a code, and see the same four words", async () => {
  const { page } = adaTab;
  await page.goto(ada.link);
  await heading(page, "This is Covey.");
  await page.getByLabel("This device's name").fill("ada bench");
  await page.getByRole("button", { name: "Go on" }).click();
  await shot(page, "welcome2");
  await page.getByRole("button", { name: /Start a space/ }).click();
  await page.getByLabel("What is it called?").fill("garden");
  await page.keyboard.press("Enter");
  await heading(page, "Let someone in");
  const code = (await page.locator(".code-letters").textContent()) ?? "";
  expect(code).toMatch(/^COVEY-[0-9A-Z]{4}-[0-9A-Z]{4}$/);
  await page.getByRole("timer").waitFor();
  await page.getByRole("img", { name: "QR code of the link" }).waitFor();
  await shot(page, "welcome3");
  expect(await violations(page)).toEqual([]);

  const other = bobTab.page;
  await other.goto(bob.link);
  await heading(other, "This is Covey.");
  await other.getByRole("button", { name: "Go on" }).click();
  await other.getByRole("button", { name: /Join a space/ }).click();
  await other.getByLabel("Code or link").fill("COVEY-AAAA-AAAA");
  await shot(other, "welcome-join-phone");
  await other.getByLabel("Code or link").fill(code.toLowerCase().replaceAll("-", " "));
  await other.keyboard.press("Enter");
  await heading(other, "You are in.");
  const wordsOn = (one: Page) => one.getByRole("list", { name: "Safety words" }).getByRole("listitem").allTextContents();
  await expect.poll(async () => (await wordsOn(other)).filter((word) => /^[a-z]{3,8}$/.test(word))).toHaveLength(4);
  const words = await wordsOn(other);
  await page.getByText("Bob is here, on bob-phone.").waitFor();
  await expect.poll(() => wordsOn(page)).toEqual(words);
  await shot(page, "welcome4");
  await page.getByRole("button", { name: "Done" }).click();
  // A new space has a room to begin in, where this build has rooms.
  await heading(page, /^(general|garden)$/);
  await page.getByRole("link", { name: /in sync/ }).waitFor();
  await other.getByRole("button", { name: "Open the space" }).click();
  expect((await ada.client.status()).node.device).toBe("ada bench");
});

test("a code that is over says so, and of two that were made for different roles only the last one works", async () => {
  const { page } = adaTab;
  const [garden] = (await ada.client.status()).spaces;
  const ended = async () => {
    const acts = await ada.client.audit(garden!.id);
    return acts.filter((act) => act.what === "withdraw_invite").length;
  };
  const letters = () => page.locator(".code-letters").textContent();
  await page.getByRole("link", { name: "People" }).first().click();
  await heading(page, "People");
  await page.getByRole("button", { name: "Invite" }).first().click();
  await page.locator(".code-letters").waitFor();
  const [before, first] = [await ended(), await letters()];
  await page.getByRole("radio", { name: "Guest" }).check({ force: true });
  await expect.poll(letters).not.toBe(first);
  await expect.poll(ended).toBe(before + 1);
  // Somebody takes the code back elsewhere: the page hears of it, and offers another one.
  const acts = await ada.client.audit(garden!.id);
  const open = acts.filter((act) => act.what === "invite").at(-1)?.invite;
  await ada.client.withdrawInvite(garden!.id, open!);
  await page.getByText("This code was taken back.").waitFor();
  await page.getByRole("button", { name: "Make a new code" }).click();
  await page.locator(".code-letters").waitFor();
  await shot(page, "invite-again");
  await page.keyboard.press("Escape");
});

test("roles are given, and what happened is in the log", async () => {
  const { page } = adaTab;
  await page.getByRole("link", { name: "People" }).first().click();
  await heading(page, "People");
  await page.getByLabel("Role of Bob").selectOption("admin");
  await page.getByRole("alertdialog", { name: "Make Bob an admin of garden?" }).getByRole("button", { name: "Make them an admin" }).click();
  await page.getByText("Bob is admin now.").waitFor();
  await page.getByRole("link", { name: "Audit log" }).click();
  await heading(page, "Audit log");
  await page.getByText("took Bob in as member, with bob-phone").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as NDJSON" }).click()]);
  expect(readFileSync(await download.path(), "utf8").trim().split("\n").length).toBeGreaterThanOrEqual(3);
});

test("a file is imported with its progress, filtered, edited, and exported", async () => {
  const { page } = adaTab;
  await page.goto(await at(ada, "data/plants"));
  const file = join(tmpdir(), `covey-web-${process.pid}.csv`);
  writeFileSync(file, `id,name,bed\n${Array.from({ length: 250 }, (_, n) => `p${n},"bean, ${n}",${n % 6}`).join("\n")}\n`);
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByLabel("File", { exact: true }).setInputFiles(file);
  await page.getByLabel("Field that holds the record's id").fill("id");
  await shot(page, "import");
  // The node is kept waiting, so that there is time to look.
  let go = () => undefined as void;
  const held = new Promise<void>((resolve) => (go = resolve));
  await page.route(/\/import\?/, (route) => held.then(() => route.continue()));
  await page.getByRole("dialog").getByRole("button", { name: "Import" }).click();
  const bar = page.getByRole("progressbar", { name: "Import" });
  await bar.waitFor();
  expect(Number(await bar.getAttribute("aria-valuenow"))).toBeLessThanOrEqual(100);
  await page.getByRole("dialog").getByText(/of \d+(\.\d)? KiB/).waitFor();
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await shot(page, "import-progress");
  go();
  await page.getByText(/250 records came in/).waitFor();
  expect(await bar.count()).toBe(0);
  await page.unroute(/\/import\?/);
  await page.getByRole("button", { name: "Done" }).click();
  rmSync(file);
  await page.getByText("The first 100 are shown.").waitFor();
  await page.getByRole("searchbox", { name: "Filter" }).fill("name contains");
  await page.getByText(/the filter can't be read/).waitFor();
  await page.getByRole("searchbox", { name: "Filter" }).fill('name = "bean, 7"');
  await page.getByText("1 record.").waitFor();
  await page.getByRole("button", { name: "p7" }).click();
  const json = page.getByLabel("Document, as JSON");
  await json.fill("{ nonsense");
  await page.getByRole("dialog").getByRole("alert").waitFor();
  await json.fill('{"id":"p7","name":"bean, 7","note":"<img src=x onerror=window.pwned=1>"}');
  await page.getByText("bed stays as before").waitFor();
  await shot(page, "record");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("cell", { name: "<img src=x" }).waitFor();
  const space = (await spaceOf(ada)).id;
  const saved = (await ada.client.records(space, "plants", { where: 'name = "bean, 7"' })).items[0];
  expect(saved?.doc).toEqual({ id: "p7", name: "bean, 7", bed: 1, note: "<img src=x onerror=window.pwned=1>" });
  await page.getByRole("button", { name: "Export" }).click();
  let give = () => undefined as void;
  const asked = new Promise<void>((resolve) => (give = resolve));
  await page.route(/\/export$/, (route) => asked.then(() => route.continue()));
  const downloaded = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save the file" }).click();
  const exported = page.getByRole("progressbar", { name: "Export" });
  await exported.waitFor();
  await page.getByText("0 of 250").waitFor();
  give();
  const download = await downloaded;
  await exported.waitFor({ state: "detached" });
  await page.unroute(/\/export$/);
  expect(readFileSync(await download.path(), "utf8").trim().split("\n")).toHaveLength(250);
  await page.keyboard.press("Escape");
  expect(await pwned(page)).toBeUndefined();
});

test("what another device writes shows by itself", async () => {
  const { page } = adaTab;
  await page.goto(await at(ada, "data/plants"));
  await page.getByRole("searchbox", { name: "Filter" }).fill('name = "from bob"');
  await page.getByText("No record fits this filter.").waitFor();
  await bob.client.putRecord((await spaceOf(bob)).id, "plants", "bobs", { name: "from bob" });
  await page.getByRole("cell", { name: "from bob" }).waitFor();
});

test("the palette leads anywhere without a mouse, and the focus stays where it can be seen", async () => {
  const { page } = adaTab;
  await page.keyboard.press("Control+k");
  const input = page.getByRole("combobox", { name: "Go anywhere, do anything" });
  await input.waitFor();
  await shot(page, "palette");
  expect(await violations(page)).toEqual([]);
  await input.pressSequentially("netw");
  await page.keyboard.press("Enter");
  await heading(page, "Network");
  await page.getByRole("row", { name: /bob-phone/ }).getByText("in sync").waitFor();
  await shot(page, "network-two");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).getByText("/", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press(",");
  await heading(page, "Settings");
  await page.getByRole("radio", { name: "Dark" }).check();
  expect(await page.evaluate(() => document.documentElement.dataset["theme"])).toBe("dark");
  await page.getByRole("radio", { name: "System" }).check();
});

test("a backup is made, and what is wrong with one is said", async () => {
  const { page } = adaTab;
  await page.goto(`${ada.api}/settings`);
  const backup = page.getByRole("region", { name: "Backup" });
  const file = join(ada.home, "..", `covey-web-${process.pid}.backup`);
  const fill = async (path: string) => {
    await backup.getByLabel("File").fill(path);
    await backup.getByLabel("Passphrase").fill("beans and peas");
    await backup.getByLabel("The same once more").fill("beans and peas");
    await backup.getByRole("button", { name: "Make the backup" }).click();
  };
  await fill("not/absolute");
  await backup.getByText("is not an absolute path").waitFor();
  await fill(file);
  await backup.getByText("The backup is made and read back").waitFor();
  rmSync(file);
});

test("a further device is linked by a code, renamed, and revoked after a question", async () => {
  const { page } = adaTab;
  await page.goto(`${ada.api}/devices`);
  await page.getByRole("button", { name: "Link a device" }).click();
  const dialog = page.getByRole("dialog", { name: "Link another device of yours" });
  const code = (await dialog.locator(".code-letters").textContent()) ?? "";
  const tablet = await startNode("Nobody", "tablet");
  try {
    const { page: other, context } = await openTab(browser);
    await other.goto(tablet.link);
    await other.getByRole("button", { name: "Go on" }).click();
    await other.getByRole("button", { name: /Another device of mine/ }).click();
    await other.getByLabel("Code or link").fill(code);
    await other.getByRole("button", { name: "Link this device" }).click();
    await heading(other, "You are in.");
    await other.getByRole("button", { name: "Open the space" }).click();
    await heading(other, /^(general|garden)$/);
    await dialog.getByText("tablet is one of your devices now.").waitFor();
    await shot(page, "linked");
    await dialog.getByRole("button", { name: "Done" }).click();
    const line = page.getByRole("list", { name: "Your devices" }).getByRole("listitem").filter({ has: page.getByRole("heading", { name: /tablet/ }) });
    await line.getByRole("button", { name: "Rename" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill("old tablet");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /old tablet/ }).waitFor();
    await line.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("old tablet is revoked.").waitFor();
    await page.getByRole("heading", { name: /old tablet/ }).waitFor({ state: "detached" });
    await other.getByRole("alert").filter({ hasText: "This device was revoked" }).waitFor();
    await shot(other, "revoked");
    await context.close();
  } finally {
    await tablet.stop();
  }
});

test("names that try to be markup stay names", async () => {
  const { page } = adaTab;
  const evil = "<img src=x onerror=window.pwned=1>";
  const made = await ada.client.createSpace(evil);
  await page.goto(`${ada.api}/s/${made.id}`);
  await heading(page, evil);
  await ada.client.renameDevice((await ada.client.status()).node.peer_id, "\u202e<b>laptop</b>");
  await page.goto(`${ada.api}/devices`);
  await page.getByRole("heading", { name: /<b>laptop<\/b>/ }).waitFor();
  expect(await page.locator("img[src=x], h2 b").count()).toBe(0);
  expect(await pwned(page)).toBeUndefined();
});

test("the page is served under a policy that runs nothing inline", async () => {
  const { page } = adaTab;
  const answer = await page.goto(ada.api);
  const policy = answer?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toContain("unsafe");
  await page.addScriptTag({ content: "window.pwned = 1" }).catch(() => undefined);
  expect(await pwned(page)).toBeUndefined();
  adaTab.complaints.splice(0);
});

test("a removed member is told so, and can read on", async () => {
  const space = await spaceOf(ada);
  const user = (await bob.client.status()).node.user_id;
  const { page } = adaTab;
  await page.goto(await at(ada, "people"));
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Remove Bob" }).click();
  await page.getByText(/Bob is out of garden/).waitFor();
  expect((await ada.client.members(space.id)).some((one) => one.user_id === user)).toBe(false);
  const other = bobTab.page;
  await other.setViewportSize({ width: 1200, height: 800 });
  await other.goto(`${bob.api}/s/${space.id}`);
  await other.getByText(/Ada put you out of this space/).waitFor();
  await shot(other, "removed");
});

test("a node that goes away and comes back is said and waited for, and the page goes on without a new link", async () => {
  const { page } = adaTab;
  await page.goto(`${ada.api}/network`);
  await heading(page, "Network");
  const restarted = ada.restart();
  await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
  ada = await restarted;
  await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor({ state: "detached" });
  await heading(page, "Network");
  await ada.signOut();
  await page.getByRole("heading", { name: "This browser is not signed in any more" }).waitFor();
  await shot(page, "signed-out");
  expect(await violations(page)).toEqual([]);
  await page.goto(await ada.newLink());
  await heading(page, /./);
});

test("the pages had nothing to complain about", () => {
  expect([...adaTab.complaints, ...bobTab.complaints]).toEqual([]);
});
