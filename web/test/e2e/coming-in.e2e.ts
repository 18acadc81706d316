/** Coming into a space and out of it again, between real nodes: by camera, under a name of one's own, by leaving, by being put out. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser, openTab, shot, violations, type Tab } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";
import { cameraFlags, FAKE_CAMERA, writeQrVideo } from "./qr-video.ts";

let browser: Browser;
let ada: TestNode;
let bob: TestNode;
let adaProxy: Proxy;
let bobProxy: Proxy;
let adaTab: Tab;
let bobTab: Tab;
let garden: string;
const folder = mkdtempSync(join(tmpdir(), "covey-web-qr-"));

beforeAll(async () => {
  [browser, ada, bob] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop"), startNode("Bob", "bob-phone")]);
  garden = (await ada.client.createSpace("garden")).id;
  [adaProxy, bobProxy, adaTab, bobTab] = await Promise.all([startProxy(ada, null), startProxy(bob, null), openTab(browser), openTab(browser, { phone: true })]);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([adaProxy?.stop(), bobProxy?.stop()]);
  await Promise.all([ada?.stop(), bob?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const heading = (page: Page, name: string | RegExp) => page.getByRole("heading", { name, level: 1 }).waitFor();
const toJoin = async (page: Page, url: string) => {
  await page.goto(`${url}/welcome?step=space`);
  await page.getByRole("button", { name: /Join a space/ }).click();
  await heading(page, "Join a space");
};

test("the join page tells who is in sight, and what to do where nobody can be", async () => {
  const { page } = bobTab;
  await toJoin(page, bobProxy.url);
  await page.getByText("1 device in sight").waitFor();
  await shot(page, "join-phone");
  expect(await violations(page)).toEqual([]);
  const alone = await startNode("Cleo", "cleo-laptop", { network: "solo" });
  const proxy = await startProxy(alone, null);
  try {
    await toJoin(page, proxy.url);
    await page.getByText("started without a network").waitFor();
  } finally {
    await proxy.stop();
    await alone.stop();
  }
});

test("a camera that isn't there, or that the page may not use, is explained, and the code can be typed", async () => {
  const withCamera = await openBrowser([FAKE_CAMERA]);
  try {
    const { page, context } = await openTab(withCamera);
    // Granting something else refuses the camera.
    await context.grantPermissions(["clipboard-write"]);
    await toJoin(page, bobProxy.url);
    await page.getByRole("button", { name: "Scan with the camera" }).click();
    await page.getByRole("dialog").getByText("This page may not use the camera").waitFor();
    await shot(page, "scan-refused");
    expect(await violations(page)).toEqual([]);
    await context.grantPermissions(["camera"]);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Looking for a code").waitFor();
    await shot(page, "scan-looking");
    expect(await violations(page)).toEqual([]);
  } finally {
    await withCamera.close();
  }
  const { page, context, complaints } = await openTab(browser);
  await context.grantPermissions(["camera"]);
  await toJoin(page, bobProxy.url);
  await page.getByRole("button", { name: "Scan with the camera" }).click();
  const window = page.getByRole("dialog", { name: "Scan the QR code" });
  await window.getByText("No camera was found on this device.").waitFor();
  await window.getByRole("button", { name: "Type the code instead" }).click();
  await window.waitFor({ state: "detached" });
  await page.getByLabel("Code or link").fill("COVEY-AAAA-AAAA");
  expect(complaints).toEqual([]);
  await context.close();
});

test("whoever holds the QR code before the camera comes in by it", async () => {
  const film = join(folder, "invite.y4m");
  writeQrVideo(film, (await ada.client.invite(garden, "member")).link);
  const withCamera = await openBrowser(cameraFlags(film));
  try {
    const { page, complaints } = await openTab(withCamera, { phone: true });
    await toJoin(page, bobProxy.url);
    await page.getByRole("button", { name: "Scan with the camera" }).click();
    await expect.poll(() => page.getByLabel("Code or link").inputValue()).toMatch(/^covey:\/\/join\//);
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Join", exact: true }).click();
    await heading(page, "You are in.");
    expect(complaints).toEqual([]);
  } finally {
    await withCamera.close();
  }
  expect((await ada.client.members(garden)).map((one) => one.name).sort()).toEqual(["Ada", "Bob"]);
});

test("looking for the other side is ended by a press, and another code can be given", async () => {
  const { page } = bobTab;
  await toJoin(page, bobProxy.url);
  await page.getByLabel("Code or link").fill("COVEY-AAAA-AAAA");
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.getByText("Looking for the other side").waitFor();
  await shot(page, "joining-phone");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("It was cancelled.").waitFor();
  await expect.poll(async () => (await bob.client.jobs()).items.map((one) => `${one.kind} ${one.state}`)).toContain("join cancelled");
  await page.getByLabel("Code or link").fill("COVEY-AAAA-AAA");
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.getByText("Looking for the other side").waitFor({ state: "detached" });
  expect(await page.getByLabel("Code or link").getAttribute("aria-invalid")).toBe("true");
});

test("a space whose records take long to come can be opened meanwhile, and is joined though they don't come in time", async () => {
  const job = { id: "j", kind: "join", target: "", state: "running", stage: "pairing", done: 0, total: null, result: null, error: null, started_at: "2026-11-21T07:41:00Z", ended_at: null };
  for (const open of [true, false]) {
    const { page, context } = await openTab(browser);
    let now: object = job;
    await page.route("**/api/v1/join", (route) => route.fulfill({ status: 202, json: job }));
    await page.route("**/api/v1/jobs", (route) => route.fulfill({ json: { items: [now] } }));
    await toJoin(page, adaProxy.url);
    await page.getByLabel("Code or link").fill("COVEY-AAAA-AAAA");
    await page.getByRole("button", { name: "Join", exact: true }).click();
    await page.getByText("Looking for the other side").waitFor();
    now = { ...job, target: garden, stage: "syncing", done: 1234 };
    await page.getByText("The space is here. 1,234 records of it came so far.").waitFor();
    if (open) await page.getByRole("button", { name: "Open it now" }).click();
    else now = { ...now, state: "failed", error: { type: "/problems/timeout", title: "", status: 504, detail: "it took too long" } };
    await heading(page, "You are in.");
    await page.getByRole("button", { name: "Open the space" }).click();
    await expect.poll(() => new URL(page.url()).pathname).toContain(garden);
    await context.close();
  }
});

test("a device becomes one of one's own by a code; the search for the other one is ended by a press, and goes on when the page is left", async () => {
  const [tablet, server] = await Promise.all([startNode("Somebody", "ada-tablet"), startNode("Somebody", "ada-server")]);
  const [toTablet, toServer] = await Promise.all([startProxy(tablet, null), startProxy(server, null)]);
  const toLink = async (page: Page, url: string, code: string) => {
    await page.goto(`${url}/welcome?step=space`);
    await page.getByRole("button", { name: /Another device of mine/ }).click();
    await heading(page, "Another device of mine");
    await page.getByLabel("Code or link").fill(code);
    await page.getByRole("button", { name: "Link this device" }).click();
  };
  const { page, context, complaints } = await openTab(browser);
  try {
    await toLink(page, toTablet.url, "COVEY-AAAA-AAAA");
    await page.getByText("Looking for the other side").waitFor();
    await shot(page, "linking");
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("It was cancelled.").waitFor();
    await expect.poll(async () => (await tablet.client.jobs()).items.map((one) => `${one.kind} ${one.state}`)).toEqual(["link cancelled"]);

    await page.getByLabel("Code or link").fill((await ada.client.linkDevice()).code);
    await page.getByRole("button", { name: "Link this device" }).click();
    await heading(page, "You are in.");
    expect((await tablet.client.status()).node.user_id).toBe((await ada.client.status()).node.user_id);
    await page.getByRole("button", { name: "Open the space" }).click();
    await expect.poll(() => new URL(page.url()).pathname).toMatch(/^\/s\//);

    // Whoever goes on elsewhere finds there what came of it.
    const begun = page.waitForResponse((one) => one.url().endsWith("/devices/join"));
    await toLink(page, toServer.url, (await ada.client.linkDevice()).code);
    expect((await begun).status()).toBe(202);
    await page.goto(`${toServer.url}/devices`);
    await page.getByRole("list", { name: "Your devices" }).getByRole("heading", { name: "ada-laptop" }).waitFor();
    await expect.poll(async () => (await server.client.jobs()).items.map((one) => `${one.kind} ${one.state}`)).toEqual(["link done"]);
    expect(complaints).toEqual([]);
  } finally {
    await context.close();
    await Promise.all([toTablet.stop(), toServer.stop()]);
    await Promise.all([tablet.stop(), server.stop()]);
  }
});

test("a device whose records take long to come can be gone on with meanwhile", async () => {
  const job = { id: "j", kind: "link", target: "", state: "running", stage: "pairing", done: 0, total: null, result: null, error: null, started_at: "2026-11-21T07:41:00Z", ended_at: null };
  const { page, context } = await openTab(browser);
  let now: object = job;
  await page.route("**/api/v1/devices/join", (route) => route.fulfill({ status: 202, json: job }));
  await page.route("**/api/v1/jobs", (route) => route.fulfill({ json: { items: [now] } }));
  await page.goto(`${adaProxy.url}/welcome?step=space`);
  await page.getByRole("button", { name: /Another device of mine/ }).click();
  await page.getByLabel("Code or link").fill("COVEY-AAAA-AAAA");
  await page.getByRole("button", { name: "Link this device" }).click();
  await page.getByText("Looking for the other side").waitFor();
  now = { ...job, target: "u", stage: "syncing", done: 1234 };
  await page.getByText("This device is one of yours now. 1,234 records of your spaces came so far.").waitFor();
  await shot(page, "linking-records");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Go on now" }).click();
  await heading(page, "You are in.");
  await context.close();
});

test("a backup goes on when the page is left, and what came of it is told", async () => {
  const { page, context } = await openTab(browser);
  await page.goto(`${adaProxy.url}/s/${garden}/people`);
  const settings = async () => {
    await page.getByRole("link", { name: "Settings" }).first().click();
    await heading(page, "Settings");
  };
  await settings();
  const backup = page.getByRole("region", { name: "Backup" });
  const file = join(folder, "ada.backup");
  await backup.getByLabel("File").fill(file);
  await backup.getByLabel("Passphrase").fill("beans and peas");
  await backup.getByLabel("The same once more").fill("beans and peas");
  // The node is kept waiting until the page is left.
  let go = () => undefined as void;
  const left = new Promise<void>((resolve) => (go = resolve));
  await page.route("**/api/v1/backup", (route) => left.then(() => route.continue()));
  await backup.getByRole("button", { name: "Make the backup" }).click();
  await page.getByRole("link", { name: "Network" }).first().click();
  await heading(page, "Network");
  go();
  await page.getByRole("status").getByText("The backup is made and read back.").waitFor();
  await settings();
  await backup.getByText("The backup is made and read back:").waitFor();
  await backup.getByText(file).waitFor();
  // In another page, and after a reload, too.
  await page.reload();
  await backup.getByText(file).waitFor();
  await shot(page, "backup-made");
  expect(await violations(page)).toEqual([]);
  await context.close();
});

test("when one has come in, another is invited by a code of their own", async () => {
  const patio = (await ada.client.createSpace("patio")).id;
  const [cleo, { page, context }] = await Promise.all([startNode("Cleo", "cleo-laptop"), openTab(browser)]);
  try {
    await page.goto(`${adaProxy.url}/s/${patio}/people`);
    await page.getByRole("button", { name: "Invite" }).click();
    const letters = page.locator(".code-letters");
    const first = (await letters.textContent()) ?? "";
    await cleo.client.join(first, 30);
    await page.getByText("Cleo is here").waitFor();
    await page.getByRole("button", { name: "Invite another" }).click();
    await letters.waitFor();
    const second = (await letters.textContent()) ?? "";
    expect(second).not.toBe(first);
    // And whoever comes by that one is told of too.
    await bob.client.join(second, 30);
    await page.getByText("Bob is here").waitFor();
    await context.close();
  } finally {
    await cleo.stop();
  }
});

test("a QR code of something else is said to be none, and the window goes on looking", async () => {
  const film = join(folder, "wifi.y4m");
  writeQrVideo(film, "WIFI:T:WPA;S:garden;P:peas;;");
  const withCamera = await openBrowser(cameraFlags(film));
  try {
    const { page } = await openTab(withCamera);
    await toJoin(page, bobProxy.url);
    await page.getByRole("button", { name: "Scan with the camera" }).click();
    await page.getByText("it is no invitation to Covey").waitFor();
    await shot(page, "scan-foreign");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await page.getByLabel("Code or link").inputValue()).toBe("");
  } finally {
    await withCamera.close();
  }
});

test("where the node can't change one's name, no field for it is shown", async () => {
  const { page, context } = await openTab(browser);
  await page.route("**/api/v1/profile", (route) => route.fulfill({ status: 404, json: { type: "/problems/not-found", title: "", status: 404, detail: "there is no such route" } }));
  await page.goto(`${adaProxy.url}/settings`);
  await heading(page, "Settings");
  await page.getByRole("heading", { name: "Ada" }).waitFor();
  await page.getByRole("region", { name: "Backup" }).waitFor();
  expect(await page.getByLabel("Your name").count()).toBe(0);
  await page.goto(`${adaProxy.url}/welcome`);
  await page.getByText("As you gave it when Covey was started").waitFor();
  expect(await page.getByLabel("Your name").count()).toBe(0);
  await context.close();
});

test("one's own name is given at the first run and changed in the settings; a refusal is said beside it", async () => {
  const { page, context } = await openTab(browser);
  let name = "Ada";
  const asked: unknown[] = [];
  await page.route("**/api/v1/profile", async (route) => {
    if (route.request().method() === "PATCH") {
      const wanted = (route.request().postDataJSON() as { name: string }).name;
      asked.push(wanted);
      if (wanted.length > 64) return route.fulfill({ status: 400, json: { type: "/problems/invalid", title: "", status: 400, detail: "a name has at most 64 letters" } });
      name = wanted;
    }
    return route.fulfill({ json: { user: "u", name } });
  });
  await page.goto(`${adaProxy.url}/welcome`);
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await shot(page, "welcome-names");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Go on" }).click();
  await heading(page, "Start or join a space");
  await page.goto(`${adaProxy.url}/settings`);
  const field = page.getByLabel("Your name");
  await expect.poll(() => field.inputValue()).toBe("Ada Lovelace");
  await field.fill("x".repeat(65));
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByText("a name has at most 64 letters").waitFor();
  await field.fill("\u05d0\u05d3\u05d4");
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByText("Your name is changed.").waitFor();
  await shot(page, "settings-name");
  expect(asked).toEqual(["Ada Lovelace", "x".repeat(65), "\u05d0\u05d3\u05d4"]);
  await context.close();
});

test("a name that somebody changes is seen by the others", async ({ skip }) => {
  const profile = await fetch(`${bob.api}/api/v1/profile`, { headers: { authorization: `Bearer ${bob.token}` } });
  skip(profile.status === 404, "this node can't change names yet");
  const { page, context } = await openTab(browser);
  await page.goto(`${bobProxy.url}/settings`);
  await page.getByLabel("Your name").fill("Bobby");
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByText("Your name is changed.").waitFor();
  await adaTab.page.goto(`${adaProxy.url}/s/${garden}/people`);
  await adaTab.page.getByRole("heading", { name: "Bobby" }).waitFor();
  await context.close();
});

test("a role that gives power over others is asked about before it's given", async () => {
  const { page } = adaTab;
  await page.goto(`${adaProxy.url}/s/${garden}/people`);
  const role = page.getByLabel(/^Role of Bob/);
  const asked = page.getByRole("alertdialog", { name: /^Make Bob.* an admin of garden\?$/ });
  const theirs = async () => (await ada.client.members(garden)).find((one) => !one.you)?.role;
  await role.selectOption("admin");
  await shot(page, "role-asked");
  expect(await violations(page)).toEqual([]);
  await asked.getByRole("button", { name: "Cancel" }).click();
  await asked.waitFor({ state: "detached" });
  expect([await role.inputValue(), await theirs()]).toEqual(["member", "member"]);
  await role.selectOption("admin");
  await asked.getByRole("button", { name: "Make them an admin" }).click();
  await page.getByText(/^Bob.* is admin now\.$/).waitFor();
  await expect.poll(() => role.inputValue()).toBe("admin");
  // Taking it back is no risk, and isn't asked about.
  await role.selectOption("member");
  await expect.poll(theirs).toBe("member");
});

test("the key of a space is changed after a question, and what is written then still arrives", async () => {
  const { page } = adaTab;
  await page.goto(`${adaProxy.url}/s/${garden}/audit`);
  await page.getByRole("button", { name: "garden" }).click();
  await page.getByRole("menuitem", { name: "Change the key" }).click();
  const question = page.getByRole("alertdialog", { name: "Change the key of garden?" });
  await shot(page, "rotate-key");
  await question.getByRole("button", { name: "Change the key" }).click();
  await page.getByText("The key of garden is changed.").waitFor();
  await page.getByRole("list", { name: "Acts" }).getByText(/key/).first().waitFor();
  await ada.client.putRecord(garden, "plants", "after", { name: "after the change" });
  const other = bobTab.page;
  await other.goto(`${bobProxy.url}/s/${garden}/data/plants`);
  await other.getByRole("cell", { name: "after the change" }).waitFor();
});

test("the last owner can't leave, and is told why; whoever leaves goes on in another space, and can read what they left", async () => {
  const { page } = adaTab;
  await page.goto(`${adaProxy.url}/s/${garden}/people`);
  await page.getByRole("button", { name: "garden" }).click();
  await page.getByRole("menuitem", { name: "Leave the space" }).click();
  const question = page.getByRole("alertdialog", { name: "Leave garden?" });
  await question.getByRole("button", { name: "Leave" }).click();
  await question.getByRole("alert").waitFor();
  await shot(page, "leave-last-owner");
  await question.getByRole("button", { name: "Cancel" }).click();

  const orchard = await ada.client.createSpace("orchard");
  await bob.client.join((await ada.client.invite(orchard.id, "member")).code, 30);
  const { page: his, context } = await openTab(browser);
  await his.goto(`${bobProxy.url}/s/${orchard.id}/people`);
  await his.getByRole("button", { name: "orchard" }).click();
  await his.getByRole("menuitem", { name: "Leave the space" }).click();
  await his.getByRole("alertdialog", { name: "Leave orchard?" }).getByRole("button", { name: "Leave" }).click();
  await his.getByText("You have left orchard.").waitFor();
  await expect.poll(() => new URL(his.url()).pathname).toContain(garden);
  await expect.poll(async () => (await ada.client.members(orchard.id)).map((one) => one.name)).toEqual(["Ada"]);
  await his.getByRole("link", { name: /orchard, you are no longer in it/ }).click();
  await his.getByText(/You left this space on/).waitFor();
  await his.getByRole("button", { name: "orchard" }).click();
  await his.getByRole("menuitem", { name: "People" }).waitFor();
  expect(await his.getByRole("menuitem", { name: "Leave the space" }).count()).toBe(0);
  await shot(his, "left");
  await context.close();
});

test("whoever is put out while a page of the space is open is told so there, and what they were writing stays", async () => {
  const { page } = bobTab;
  await page.goto(`${bobProxy.url}/s/${garden}/data/plants`);
  await page.getByRole("button", { name: "New record" }).click();
  await page.getByLabel("Document, as JSON").fill('{"name":"half a bean');
  await ada.client.removeMember(garden, (await bob.client.status()).node.user_id);
  await page.getByText(/Ada put you out of this space on/).waitFor();
  expect(await page.getByLabel("Document, as JSON").inputValue()).toBe('{"name":"half a bean');
  await page.keyboard.press("Escape");
  await page.getByRole("cell", { name: "after the change" }).waitFor();
  await expect.poll(() => page.getByRole("button", { name: "New record" }).getAttribute("aria-disabled")).toBe("true");
  await shot(page, "put-out-phone");
  expect(await violations(page)).toEqual([]);
});

test("a browser that is signed out says so in every tab, keeps what was typed, and goes on when it is signed in again", async () => {
  const { page, context, complaints } = await openTab(browser);
  await page.goto(await ada.newLink());
  await page.goto(`${ada.api}/s/${garden}/data/plants`);
  await page.getByRole("button", { name: "New record" }).click();
  await page.getByLabel("Document, as JSON").fill('{"name":"unsaved bean"}');
  const second = await context.newPage();
  await second.goto(`${ada.api}/settings`);
  await heading(second, "Settings");
  await ada.signOut();
  for (const one of [page, second]) await one.getByRole("heading", { name: "This browser is not signed in any more" }).waitFor();
  expect(await violations(second)).toEqual([]);
  await second.goto(await ada.newLink());
  await heading(second, /./);
  // Back in the first tab nobody presses anything.
  await page.bringToFront();
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  await heading(page, "Data");
  await page.getByRole("button", { name: "New record" }).click();
  await page.getByText("This is what you had begun to write here.").waitFor();
  expect(await page.getByLabel("Document, as JSON").inputValue()).toBe('{"name":"unsaved bean"}');
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("cell", { name: "unsaved bean" }).waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});
