/** The conversation between two real nodes. Where this build has none, there is nothing to test. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isMissing } from "@covey/client";
import { openBrowser, openTab, shot, violations, type Tab } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

let browser: Browser;
let ada: TestNode;
let bob: TestNode;
let space: string;
let adaProxy: Proxy;
let bobProxy: Proxy;
let adaTab: Tab;
let bobTab: Tab;
let hasChat = false;

beforeAll(async () => {
  [browser, ada, bob] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop"), startNode("Bob", "bob-laptop")]);
  space = (await ada.client.createSpace("garden")).id;
  hasChat = await ada.client.channels(space).then(() => true, (error: unknown) => {
    if (isMissing(error)) return false;
    throw error;
  });
  if (!hasChat) return;
  await bob.client.join((await ada.client.invite(space, "member")).code, 30);
  [adaProxy, bobProxy, adaTab, bobTab] = await Promise.all([startProxy(ada, null), startProxy(bob, null), openTab(browser), openTab(browser)]);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([adaProxy?.stop(), bobProxy?.stop()]);
  await Promise.all([ada?.stop(), bob?.stop()]);
});

const said = (tab: Tab, text: string) => tab.page.getByRole("log", { name: "Messages" }).getByRole("article").filter({ hasText: text });

test("a channel is made, found by the other, and what is said there arrives both ways", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const { page } = adaTab;
  await page.goto(`${adaProxy.url}/s/${space}`);
  await page.getByRole("button", { name: "New channel" }).click();
  await page.getByLabel("Name").fill("harvest");
  await page.getByRole("button", { name: "Start it" }).click();
  await page.getByRole("textbox", { name: "Write to #harvest" }).fill("The beans are in.");
  await page.keyboard.press("Enter");
  await said(adaTab, "The beans are in.").waitFor();
  const other = bobTab.page;
  await other.goto(`${bobProxy.url}/s/${space}`);
  await other.getByRole("link", { name: "harvest 1 person" }).click();
  const join = other.getByRole("button", { name: "Join #harvest" });
  const box = other.getByRole("textbox", { name: "Write to #harvest" });
  await join.or(box).first().waitFor();
  if (await join.isVisible()) await join.click();
  await said(bobTab, "The beans are in.").waitFor();
  await box.fill("Lovely, @Ada");
  await other.keyboard.press("Enter");

  await said(adaTab, "Lovely, @Ada").waitFor();
  await page.getByText("read by 1").waitFor();
  await shot(page, "talk-ada");
  expect(await violations(page)).toEqual([]);
});

test("reactions, threads, edits and deletion reach the other side", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const theirs = said(adaTab, "Lovely, @Ada");
  await theirs.hover();
  await theirs.getByRole("button", { name: "React" }).click();
  await adaTab.page.getByRole("searchbox", { name: "Find an emoji" }).fill("seedling");
  await adaTab.page.getByRole("button", { name: "seedling" }).click();
  await said(bobTab, "Lovely, @Ada").getByRole("button", { name: /by Ada/ }).waitFor();
  await theirs.hover();
  await theirs.getByRole("button", { name: "Reply in a thread" }).click();
  const thread = adaTab.page.getByRole("complementary", { name: "Thread" });
  await thread.getByText("Lovely, @Ada").waitFor();
  await thread.getByRole("textbox", { name: "Reply" }).fill("come at noon");
  await adaTab.page.keyboard.press("Enter");
  await thread.getByText("come at noon").waitFor();
  await said(bobTab, "Lovely, @Ada").getByRole("button", { name: /^1 reply, .*1 new$/ }).click();
  await bobTab.page.getByRole("complementary", { name: "Thread" }).getByText("come at noon").waitFor();
  await bobTab.page.getByRole("link", { name: "harvest", exact: true }).waitFor();
  const mine = said(adaTab, "The beans are in.");
  await mine.hover();
  await mine.getByRole("button", { name: "Edit" }).click();
  await adaTab.page.getByRole("textbox", { name: "Edit the message" }).fill("The beans and the peas are in.");
  await adaTab.page.keyboard.press("Enter");
  await said(bobTab, "The beans and the peas are in.").waitFor();
  await said(adaTab, "and the peas").hover();
  await said(adaTab, "and the peas").getByRole("button", { name: "Delete" }).click();
  await adaTab.page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
  await said(bobTab, "This message was deleted.").waitFor();
  await shot(bobTab.page, "talk-bob");
});

test("a direct conversation shows as unread, and words are found", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const users = (await ada.client.members(space)).filter((one) => !one.you).map((one) => one.user_id);
  const direct = await ada.client.direct(space, users);
  await ada.client.sendMessage(space, direct.id, { text: "about the golden pumpkin", client_id: crypto.randomUUID() });
  const room = bobTab.page.getByRole("link", { name: /Ada 1/ });
  await room.waitFor();
  await room.click();
  await said(bobTab, "golden pumpkin").waitFor();
  await bobTab.page.goto(`${bobProxy.url}/s/${space}/search`);
  await bobTab.page.getByRole("searchbox", { name: "Words" }).fill("pumpkin");
  await bobTab.page.getByRole("list", { name: "Found messages" }).getByRole("link").click();
  await said(bobTab, "golden pumpkin").waitFor();
  expect([...adaTab.complaints, ...bobTab.complaints]).toEqual([]);
});

test("a channel that one admin renames, describes and archives is so for the other", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const beds = await ada.client.createChannel(space, { name: "beds", private: false, topic: "" });
  await bobTab.page.goto(`${bobProxy.url}/s/${space}`);
  await bobTab.page.getByText("more to join").waitFor();
  const { page } = adaTab;
  await page.goto(`${adaProxy.url}/s/${space}/c/${beds.id}?side=people`);
  await page.getByRole("button", { name: "Channel settings" }).click();
  const settings = page.getByRole("dialog", { name: "Channel settings" });
  await settings.getByLabel("Name").fill("\u05d2\u05d9\u05e0\u05d4 \u{1F33B}");
  await settings.getByLabel("What it is about").fill("Which bed holds what");
  await settings.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "\u05d2\u05d9\u05e0\u05d4 \u{1F33B}", level: 1 }).waitFor();
  await bobTab.page.goto(`${bobProxy.url}/s/${space}/c/${beds.id}`);
  await bobTab.page.getByRole("heading", { name: "\u05d2\u05d9\u05e0\u05d4 \u{1F33B}", level: 1 }).waitFor();
  await bobTab.page.getByText("Which bed holds what").first().waitFor();
  await shot(page, "talk-about");
  await page.getByRole("button", { name: "Archive the channel" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Archive it" }).click();
  await bobTab.page.getByText("This channel is archived").waitFor();
  expect(await bobTab.page.getByRole("button", { name: /^Join #/ }).count()).toBe(0);
});

test("a long history of a real channel is read in pieces", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const channel = await ada.client.createChannel(space, { name: "long", private: false, topic: "" });
  for (let n = 0; n < 130; n++) await ada.client.sendMessage(space, channel.id, { text: `message number ${n}`, client_id: crypto.randomUUID() });
  const { page } = adaTab;
  await page.goto(`${adaProxy.url}/s/${space}/c/${channel.id}`);
  await page.getByText("message number 129").waitFor();
  const early = page.getByText("message number 3", { exact: true });
  await expect.poll(async () => {
    await page.getByRole("log").hover();
    await page.mouse.wheel(0, -2500);
    return early.count();
  }).toBe(1);
});

test("whoever is put out while a channel is open sees it at once, reads on, and is offered nothing to write with", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const { page } = bobTab;
  const harvest = (await bob.client.channels(space)).items.find((one) => one.name === "harvest");
  await page.goto(`${bobProxy.url}/s/${space}/c/${harvest?.id}`);
  const box = page.getByRole("textbox", { name: "Write to #harvest" });
  await box.fill("half a thou");
  await ada.client.removeMember(space, (await bob.client.status()).node.user_id);
  await page.getByText(/Ada put you out of this space on/).waitFor();
  await expect.poll(() => box.getAttribute("readonly")).not.toBeNull();
  expect(await box.inputValue()).toBe("half a thou");
  await page.getByText("You are no longer in this space.").waitFor();
  await said(bobTab, "Lovely, @Ada").focus();
  await said(bobTab, "Lovely, @Ada").getByRole("button", { name: "Reply in a thread" }).waitFor();
  expect(await page.getByRole("log").getByRole("button", { name: "React" }).count()).toBe(0);
  await shot(page, "talk-put-out");
  expect(await violations(page)).toEqual([]);
});

test("a conversation with somebody who is out keeps their name, and nothing can be written to nobody", async ({ skip }) => {
  skip(!hasChat, "this node has no conversations yet");
  const cleo = await startNode("Cleo", "cleo-laptop");
  try {
    await cleo.client.join((await ada.client.invite(space, "member")).code, 30);
    const theirs = (await cleo.client.status()).node.user_id;
    const direct = await ada.client.direct(space, [theirs]);
    await ada.client.sendMessage(space, direct.id, { text: "see you tomorrow", client_id: crypto.randomUUID() });
    const { page } = adaTab;
    await page.goto(`${adaProxy.url}/s/${space}/c/${direct.id}`);
    const box = page.getByRole("textbox", { name: "Write to Cleo" });
    await box.waitFor();
    await said(adaTab, "see you tomorrow").waitFor();
    await cleo.stop();
    await ada.client.sendMessage(space, direct.id, { text: "are you still there?", client_id: crypto.randomUUID() });
    await said(adaTab, "are you still there?").getByText("only here yet").waitFor();
    await ada.client.removeMember(space, theirs);
    await expect.poll(async () => (await ada.client.channels(space)).items.find((one) => one.id === direct.id)?.members.map((one) => one.name)).toEqual(["Ada"]);
    await expect.poll(() => box.getAttribute("placeholder")).toBe("Cleo is no longer in this space.");
    expect(await box.getAttribute("readonly")).not.toBeNull();
    await page.getByRole("heading", { name: "Cleo", level: 1 }).waitFor();
    await page.getByRole("navigation", { name: "Rooms of the space" }).getByRole("link", { name: /^Cleo/ }).waitFor();
    expect(await page.getByText("Notes to yourself").count()).toBe(0);
    await said(adaTab, "see you tomorrow").waitFor();
    // What she didn't get before she was put out isn't on its way to her.
    const kept = said(adaTab, "are you still there?");
    await kept.getByText("kept here").waitFor();
    await kept.focus();
    await page.keyboard.press("Tab");
    await page.locator(".tip").getByText("It is kept on this device. There is nobody left in this conversation to deliver it to.").waitFor();
    await shot(page, "talk-nobody");
    expect(await violations(page)).toEqual([]);
  } finally {
    await cleo.stop();
  }
});
