/** The conversation, against routes kept in memory: what the app makes of them, whatever they hold. */
import type { Channel, ChannelMember } from "@covey/client";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openBrowser, openTab, pwned, shot, violations, type Tab } from "./browser.ts";
import { ChatDouble } from "./chat-double.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

let browser: Browser;
let node: TestNode;
let space: string;
let me: ChannelMember;
let proxy: Proxy;
let chat: ChatDouble;
let harvest: Channel;
let tab: Tab;
let page: Page;
const bob: ChannelMember = { user: "user-bob", name: "Bob", role: "member" };
const cleo: ChannelMember = { user: "user-cleo", name: "Cleo \u05d3\u05e0\u05d4", role: "member" };

beforeAll(async () => {
  [browser, node] = await Promise.all([openBrowser(), startNode("Ada", "ada-laptop", { network: "solo" })]);
  space = (await node.client.createSpace("garden")).id;
  const status = await node.client.status();
  me = { user: status.node.user_id, name: "Ada", role: "admin" };
});
afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

beforeEach(async () => {
  chat = new ChatDouble(space, { ...me, device: "ada-laptop" }, [me, bob, cleo]);
  chat.channel("general");
  harvest = chat.channel("harvest");
  harvest.topic = "What is ripe, and who picks it";
  chat.channel("", "direct", [me, bob]);
  proxy = await startProxy(node, chat);
  tab = await openTab(browser);
  page = tab.page;
});
afterEach(async () => {
  await tab.context.close();
  await proxy.stop();
  expect(tab.complaints).toEqual([]);
});

const open = async (channel = harvest, query = "") => {
  await page.goto(`${proxy.url}/s/${space}/c/${channel.id}${query}`);
  await page.getByRole("textbox", { name: /Write to/ }).waitFor();
  // The newest is there: keys and clicks find what they are meant for.
  const last = chat.messages.filter((one) => one.channel === channel.id && one.reply_to === null).at(-1);
  if (last) await log().locator(`[data-message="${last.id}"]`).waitFor();
};
const box = () => page.getByRole("textbox", { name: "Write to #harvest" });
const log = () => page.getByRole("log", { name: "Messages" });
const send = async (text: string) => {
  await box().fill(text);
  await box().press("Enter");
};
/** Messages of one's own that the node has. Those on their way look the same, and can't be changed yet. */
const kept = (text: string) => log().locator("[data-own]").filter({ hasText: text });
/** Up through the history, by one page after the other, until a message is there that is older than this one. */
const readUpTo = async (number: number) => {
  const oldest = async () => Math.min(...(await log().getByText(/^message number \d+$/).allTextContents()).map((text) => Number(text.split(" ")[2])));
  await expect.poll(async () => {
    await log().hover();
    await page.mouse.wheel(0, -3000);
    return oldest();
  }).toBeLessThan(number);
};

function lively(): void {
  chat.say(harvest, bob, "Morning! The first beans are ready.", { minutes: 1 });
  chat.say(harvest, bob, "I picked **two kilos** before the rain, and `bed 3` still has more.");
  const mine = chat.say(harvest, me, "Lovely. I can come at noon.\n\n- bring the crates\n- and the *sharp* knife", { minutes: 9 });
  chat.change(mine, { state: "read", delivered_to: ["user-bob", "user-cleo"], read_by: ["user-bob"] });
  chat.say(harvest, cleo, "\u05d0\u05e0\u05d9 \u05d1\u05d0\u05d4 \u05d2\u05dd, see https://weather.example/today for the rain", { minutes: 60 * 20 });
  const root = chat.say(harvest, bob, "@Ada who takes the market stall on Saturday?", { minutes: 30, reactions: { "\u{1F44D}": [cleo.user], "\u{1F331}": [me.user, cleo.user] } });
  chat.say(harvest, cleo, "I can until eleven.", { reply_to: root.id });
  chat.say(harvest, me, "Then I take over.", { reply_to: root.id });
  chat.say(harvest, bob, "> I can come at noon.\n\nPerfect. The plan:\n```yaml\nbeds:\n  - bean\n  - pea\n```");
  chat.change(chat.say(harvest, me, "The crates are in the car."), { state: "delivered", delivered_to: ["user-bob", "user-cleo"] });
  harvest.unread = 0;
  harvest.new_since = null;
  harvest.mentions = 0;
}

test("a conversation can be read and used, in light and dark, and on a phone", async () => {
  lively();
  for (const one of chat.channels) if (one.kind === "direct") chat.say(one, bob, "psst");
  const found: string[] = [];
  for (const look of [{}, { dark: true }, { phone: true }, { phone: true, dark: true }]) {
    const other = await openTab(browser, look);
    await other.page.goto(`${proxy.url}/s/${space}/c/${harvest.id}`);
    await other.page.getByText("The crates are in the car.").waitFor();
    const name = `${"dark" in look ? "dark" : "light"}${"phone" in look ? "-phone" : ""}`;
    await shot(other.page, `chat-${name}`);
    for (const one of await violations(other.page)) found.push(`${name}: ${one.rule} at ${one.where.join(", ")} (${one.why})`);
    await other.page.getByRole("button", { name: "2 replies" }).click();
    await other.page.getByRole("complementary", { name: "Thread" }).getByText("Then I take over.").waitFor();
    await shot(other.page, `thread-${name}`);
    for (const one of await violations(other.page)) found.push(`thread ${name}: ${one.rule} at ${one.where.join(", ")} (${one.why})`);
    expect(other.complaints).toEqual([]);
    await other.context.close();
  }
  expect(found).toEqual([]);
});

test("what is sent shows at once, and tells how far it got", async () => {
  await open();
  await send("The beans are in.");
  const message = log().getByRole("article").filter({ hasText: "The beans are in." });
  await message.waitFor();
  await message.getByText("only here yet").waitFor();
  const kept = chat.messages.at(-1);
  if (!kept) throw new Error("it was not sent");
  chat.deliver(kept, [bob.user, cleo.user]);
  await message.getByText("delivered to 2").waitFor();
  chat.read(harvest, kept, [bob.user]);
  await message.getByText("read by 1").waitFor();
  expect(await box().inputValue()).toBe("");
});

test("nothing that was typed or sent is lost while the node is away, and it goes out once", async () => {
  await open();
  await send("before");
  await log().getByText("only here yet").waitFor();
  proxy.cut(true);
  await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
  await send("while away");
  await log().getByText("while away").waitFor();
  await log().getByText("sending").waitFor();
  await box().fill("half a thou");
  // Nobody presses anything: it comes back by itself.
  proxy.cut(false);
  await log().getByText("sending").waitFor({ state: "detached" });
  expect(chat.messages.filter((one) => one.text === "while away")).toHaveLength(1);
  chat.say(harvest, bob, "and live again");
  await log().getByText("and live again").waitFor();
  await page.reload();
  expect(await box().inputValue()).toBe("half a thou");
});

test("a message that the node refuses says why, and can be taken back", async () => {
  await open();
  chat.refuse = "your role in \"garden\" does not allow writing";
  await send("may I?");
  await log().getByText("does not allow writing").waitFor();
  await log().getByRole("button", { name: "Take back" }).click();
  await expect.poll(() => box().inputValue()).toBe("may I?");
});

test("what is taken back in a thread goes behind what is being written there", async () => {
  const root = chat.say(harvest, bob, "Who has the key?");
  await open(harvest, `?thread=${root.id}`);
  const thread = page.getByRole("complementary", { name: "Thread" });
  const reply = thread.getByRole("textbox", { name: "Reply" });
  chat.refuse = "the channel is archived";
  await reply.fill("in the red pot");
  await reply.press("Enter");
  await thread.getByText("the channel is archived").waitFor();
  await reply.fill("half a thou");
  await thread.getByRole("button", { name: "Take back" }).click();
  await expect.poll(() => reply.inputValue()).toBe("half a thou\nin the red pot");
});

test("a message that a node can't take now says why, and goes out by itself when it can", async () => {
  await open();
  chat.refuse = "the disk is full: 3 MiB are left";
  chat.refuseWith = 507;
  await send("once there is room");
  const waiting = log().getByRole("article").filter({ hasText: "once there is room" });
  await waiting.getByText("Not sent yet: The disk is full: 3 MiB are left. It is tried again by itself.").waitFor();
  await waiting.getByText("sending").waitFor();
  await shot(page, "chat-waiting");
  expect(await violations(page)).toEqual([]);
  // The line to the node was open all the while, so nothing else would begin it anew.
  chat.refuse = null;
  await kept("once there is room").waitFor();
  expect(await log().getByText("Not sent yet").count()).toBe(0);
  expect(chat.messages.filter((one) => one.text === "once there is room")).toHaveLength(1);
});

test("an edit that the node refuses is there again with the reason, and lost by no reload", async () => {
  chat.say(harvest, me, "The beans are in.");
  await open();
  chat.refuse = "the disk is full";
  chat.refuseWith = 507;
  await box().press("ArrowUp");
  const edit = page.getByRole("textbox", { name: "Edit the message" });
  await edit.fill("The beans and the peas are in.");
  await edit.press("Enter");
  await log().getByText("Not saved: The disk is full.").waitFor();
  expect(await page.getByText("The disk is full.").count(), "told once").toBe(1);
  expect(await edit.inputValue()).toBe("The beans and the peas are in.");
  await shot(page, "chat-edit-refused");
  expect(await violations(page)).toEqual([]);
  await page.reload();
  await kept("The beans are in.").waitFor();
  await box().press("ArrowUp");
  await expect.poll(() => edit.inputValue()).toBe("The beans and the peas are in.");
  chat.refuse = null;
  await edit.press("Enter");
  await log().getByText("The beans and the peas are in.").waitFor();
  await expect.poll(() => chat.messages[0]?.text).toBe("The beans and the peas are in.");
  // What the node has is kept here no longer.
  await expect.poll(() => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("covey.edit.")))).toEqual([]);
});

test("an edit that is refused while another message is being written is told of, and not as that one's", async () => {
  chat.say(harvest, me, "The beans are in.");
  chat.say(harvest, me, "The peas are not.");
  await open();
  chat.refuse = "the disk is full";
  chat.refuseWith = 507;
  let answer = () => undefined as void;
  const held = new Promise<void>((resolve) => (answer = resolve));
  await page.route("**/messages/*", async (route) => {
    await held;
    await route.continue();
  });
  await kept("The beans are in.").hover();
  await kept("The beans are in.").getByRole("button", { name: "Edit" }).click();
  const edit = page.getByRole("textbox", { name: "Edit the message" });
  await edit.fill("The beans are in the shed.");
  await edit.press("Enter");
  await edit.waitFor({ state: "detached" });
  // By the keyboard: rows move when the box closes, and a pointer would be over another one by then.
  await kept("The peas are not.").focus();
  await kept("The peas are not.").getByRole("button", { name: "Edit" }).click();
  await edit.fill("The peas are not yet.");
  answer();
  await page.getByRole("status").getByText("The disk is full.").waitFor();
  await kept("The beans are in.").waitFor();
  expect(await log().getByText("Not saved").count()).toBe(0);
  expect(await edit.inputValue()).toBe("The peas are not yet.");
});

test("an edit that is refused once its message was scrolled out of sight is told of where one looks, and stays with it", async () => {
  chat.say(harvest, me, "The beans are in.");
  for (let n = 0; n < 200; n++) chat.say(harvest, bob, `row ${n}`, { minutes: 0.5 });
  const mine = chat.messages[0]?.id ?? "";
  await page.goto(`${proxy.url}/s/${space}/c/${harvest.id}?at=${mine}`);
  chat.refuse = "the disk is full";
  chat.refuseWith = 507;
  let answer = () => undefined as void;
  const held = new Promise<void>((resolve) => (answer = resolve));
  await page.route("**/messages/*", async (route) => {
    if (route.request().method() !== "GET") await held;
    await route.continue();
  });
  const own = log().locator(`[data-message="${mine}"]`);
  await own.focus();
  await own.getByRole("button", { name: "Edit" }).click();
  const edit = page.getByRole("textbox", { name: "Edit the message" });
  await edit.fill("The beans are in the shed.");
  await edit.press("Enter");
  await log().hover();
  await expect.poll(async () => {
    await page.mouse.wheel(0, 1500);
    return own.count();
  }).toBe(0);
  answer();
  await page.getByRole("status").getByText("The disk is full.").waitFor();
  await expect.poll(async () => {
    await page.mouse.wheel(0, -1500);
    return edit.count();
  }).toBe(1);
  expect(await edit.inputValue()).toBe("The beans are in the shed.");
  await log().getByText("Not saved: The disk is full.").waitFor();
});

test("the emoji window of a message goes with it, and a tip with what it was about", async () => {
  const said = chat.say(harvest, bob, "Who has the key?");
  await open();
  const theirs = log().locator(`[data-message="${said.id}"]`);
  await theirs.focus();
  await theirs.getByRole("button", { name: "Reply in a thread" }).hover();
  await page.getByText("Reply in a thread", { exact: true }).waitFor();
  await theirs.getByRole("button", { name: "React" }).click();
  const picker = page.getByRole("dialog", { name: "Emoji" });
  await picker.waitFor();
  expect(await page.getByText("Reply in a thread", { exact: true }).count()).toBe(0);
  chat.change(said, { deleted: true, text: "" });
  await log().getByText("This message was deleted.").waitFor();
  await picker.waitFor({ state: "detached" });
});

test("what can't be pressed now says why, to those who don't see its tip too", async () => {
  await open();
  await page.getByRole("button", { name: "New channel" }).click();
  const start = page.getByRole("button", { name: "Start it" });
  expect(await start.getAttribute("aria-description")).toBe("It needs a name.");
  await start.hover();
  await page.locator(".tip").getByText("It needs a name.").waitFor();
  await page.getByRole("textbox", { name: "Name" }).fill("seeds");
  await expect.poll(() => start.getAttribute("aria-description")).toBeNull();
});

/** Notifications that are kept in place of being shown, and a page that can be made to lie behind another one. */
const NOTIFIED = () => {
  const shown: { title: string; body: string; tag: string; onclick?: () => void; close: () => void }[] = [];
  const Fake = function (this: object, title: string, { body, tag }: { body: string; tag: string }) {
    const one = { title, body, tag, close: () => undefined };
    shown.push(one);
    return one;
  };
  Object.assign(Fake, { permission: "granted", requestPermission: () => Promise.resolve("granted") });
  let hidden = false;
  Object.defineProperty(document, "visibilityState", { get: () => (hidden ? "hidden" : "visible") });
  const look = (away: boolean) => {
    hidden = away;
    document.dispatchEvent(new Event("visibilitychange"));
  };
  Object.assign(window, { Notification: Fake, shown, look });
  localStorage.setItem("covey.notify", "on");
};
const notified = (one: Page) => one.evaluate(() => (window as unknown as { shown: { title: string; body: string }[] }).shown.map(({ title, body }) => `${title}: ${body}`));
const lookAway = (one: Page, away: boolean) => one.evaluate((now) => (window as unknown as { look: (away: boolean) => void }).look(now), away);
const press = (one: Page, at: number) => one.evaluate((n) => (window as unknown as { shown: { onclick?: () => void }[] }).shown[n]?.onclick?.(), at);

test("whoever is mentioned while they look elsewhere is notified, once, and led to the message", async () => {
  await tab.context.addInitScript(NOTIFIED);
  const general = chat.channels[0] as Channel;
  await page.goto(`${proxy.url}/s/${space}/c/${general.id}`);
  await page.getByRole("textbox", { name: "Write to #general" }).waitFor();
  const arrived = (text: string) => page.getByRole("log", { name: "Messages" }).getByText(text).waitFor();
  chat.say(general, bob, "@Ada while you look");
  await arrived("while you look");
  await lookAway(page, true);
  chat.say(general, bob, "to nobody in particular");
  const named = chat.say(harvest, bob, "@Ada are you there?");
  chat.change(named, { text: "@Ada are you there?!", edited: true });
  const direct = chat.channels.find((one) => one.kind === "direct") as Channel;
  chat.say(direct, bob, "psst");
  const answer = chat.say(harvest, cleo, "@Ada here", { reply_to: named.id });
  // What was here before is told of again with a reaction to it, as nothing new.
  chat.emit({ event: "message", new: false, space, channel: harvest.id, message: { ...answer, reactions: { "\u{1F44D}": [cleo.user] } } });
  chat.say(general, bob, "the last");
  await arrived("the last");
  await expect.poll(() => notified(page)).toEqual(["Bob in #harvest: @Ada are you there?", "Bob: psst", `${cleo.name} in #harvest: @Ada here`]);
  await lookAway(page, false);
  for (let n = 0; n < 200; n++) chat.say(harvest, bob, `row ${n}`, { minutes: 0.5 });
  await press(page, 0);
  await page.getByRole("textbox", { name: "Write to #harvest" }).waitFor();
  await arrived("are you there?!");
  await press(page, 2);
  await page.getByRole("log", { name: "Thread" }).getByText("@Ada here").waitFor();
});

test("a tab that nobody looks at keeps still while another one is looked at", async () => {
  await tab.context.addInitScript(NOTIFIED);
  const other = await tab.context.newPage();
  for (const one of [page, other]) {
    await one.goto(`${proxy.url}/s/${space}/c/${harvest.id}`);
    await one.getByRole("textbox", { name: "Write to #harvest" }).waitFor();
  }
  const arrived = (text: string) => Promise.all([page, other].map((one) => one.getByRole("log").getByText(text).waitFor()));
  await lookAway(other, true);
  chat.say(harvest, bob, "@Ada while you read");
  await arrived("while you read");
  await lookAway(page, true);
  chat.say(harvest, bob, "@Ada while you don't");
  await expect.poll(() => notified(other)).toEqual(["Bob in #harvest: @Ada while you don't"]);
  expect(await notified(page)).toEqual(["Bob in #harvest: @Ada while you don't"]);
  // Whoever looks at one again has the other one keep still.
  await lookAway(page, false);
  chat.say(harvest, bob, "@Ada once more");
  await arrived("once more");
  await lookAway(page, true);
  chat.say(harvest, bob, "@Ada the last");
  await expect.poll(async () => (await notified(other)).at(-1)).toBe("Bob in #harvest: @Ada the last");
  expect(await notified(other)).toHaveLength(2);
});

test("while messages keep coming, what is read is told once a second at most, and the last of it when the channel is left", async () => {
  chat.say(harvest, bob, "the first");
  const marks: string[] = [];
  page.on("request", (one) => void (one.url().endsWith(`/channels/${harvest.id}/read`) && marks.push((one.postDataJSON() as { upto: string }).upto)));
  await open();
  await expect.poll(() => marks.length).toBe(1);
  const began = Date.now();
  for (let n = 0; n < 30; n++) {
    chat.say(harvest, bob, `and another ${n}`);
    await log().getByText(`and another ${n}`, { exact: true }).waitFor();
  }
  // It's being read: nothing of it shows as unread.
  expect(await page.getByRole("link", { name: /^harvest \d+ unread/ }).count()).toBe(0);
  await page.getByRole("link", { name: "general", exact: true }).click();
  await page.getByRole("textbox", { name: "Write to #general" }).waitFor();
  await expect.poll(() => marks.at(-1)).toBe(chat.messages.at(-1)?.id);
  expect(marks.length).toBeLessThanOrEqual(3 + (Date.now() - began) / 1000);
  expect(marks.length).toBeLessThan(30);
});

test("on a phone a finger reaches what can be done with a message", async () => {
  chat.say(harvest, bob, "Who has the key?");
  chat.say(harvest, me, "I do.");
  const phone = await openTab(browser, { phone: true });
  await phone.page.goto(`${proxy.url}/s/${space}/c/${harvest.id}`);
  const theirs = phone.page.getByRole("article").filter({ hasText: "Who has the key?" });
  await theirs.waitFor();
  const reply = theirs.getByRole("button", { name: "Reply in a thread" });
  const shows = () => theirs.getByRole("toolbar").evaluate((one) => getComputedStyle(one).opacity === "1" && getComputedStyle(one).pointerEvents === "auto");
  expect(await theirs.getByRole("toolbar").count()).toBe(0);
  await theirs.getByText("Who has the key?").tap();
  await expect.poll(shows).toBe(true);
  await shot(phone.page, "touch-acts-phone");
  await theirs.getByRole("button", { name: "React" }).tap();
  await phone.page.getByRole("searchbox", { name: "Find an emoji" }).fill("seedling");
  await phone.page.getByRole("button", { name: "seedling" }).tap();
  await theirs.getByRole("button", { name: /by you/ }).waitFor();
  await theirs.getByText("Who has the key?").tap();
  await reply.tap();
  await phone.page.getByRole("complementary", { name: "Thread" }).getByText("Who has the key?").waitFor();
  await phone.context.close();
});

test("the emoji window can be used by everybody, in light and dark", async () => {
  const found: string[] = [];
  for (const dark of [false, true]) {
    const other = await openTab(browser, { dark });
    await other.page.goto(`${proxy.url}/s/${space}/c/${harvest.id}`);
    await other.page.getByRole("button", { name: "Emoji" }).click();
    await other.page.getByRole("searchbox", { name: "Find an emoji" }).fill("seed");
    await other.page.getByRole("button", { name: "seedling" }).waitFor();
    await shot(other.page, `emoji-${dark ? "dark" : "light"}`);
    for (const one of await violations(other.page)) found.push(`${one.rule} at ${one.where.join(", ")} (${one.why})`);
    await other.context.close();
  }
  expect(found).toEqual([]);
});

test("reactions, edits, replies and deletion work by mouse and by keys", async () => {
  const said = chat.say(harvest, bob, "Who has the key?");
  await open();
  const theirs = log().getByRole("article").filter({ hasText: "Who has the key?" });
  await theirs.hover();
  await theirs.getByRole("button", { name: "React" }).click();
  await page.getByRole("searchbox", { name: "Find an emoji" }).fill("seedling");
  await page.getByRole("button", { name: "seedling" }).click();
  await theirs.getByRole("button", { name: /by you/ }).waitFor();
  expect(chat.find(said.id)?.reactions["\u{1F331}"]).toEqual([me.user]);
  await send("I do, in the shad");
  await kept("I do, in the shad").waitFor();
  await box().press("ArrowUp");
  const edit = page.getByRole("textbox", { name: "Edit the message" });
  await edit.fill("I do, in the shed");
  await edit.press("Enter");
  await log().getByText("I do, in the shed").waitFor();
  await log().getByText("edited").waitFor();
  await theirs.hover();
  await theirs.getByRole("button", { name: "Reply in a thread" }).click();
  const thread = page.getByRole("complementary", { name: "Thread" });
  await thread.getByRole("textbox", { name: "Reply" }).fill("in the red pot");
  await page.keyboard.press("Enter");
  await log().getByRole("button", { name: "1 reply" }).waitFor();
  await thread.getByText("in the red pot").waitFor();
  await page.keyboard.press("Escape");
  await thread.waitFor({ state: "detached" });
  const mine = log().getByRole("article").filter({ hasText: "in the shed" });
  await mine.hover();
  await mine.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
  await log().getByText("This message was deleted.").waitFor();
});

test("a name is completed after @, and who is mentioned is told", async () => {
  await open();
  await box().pressSequentially("thanks @bo");
  await page.getByRole("option", { name: "Bob" }).waitFor();
  await shot(page, "mention");
  await page.keyboard.press("Tab");
  await expect.poll(() => box().inputValue()).toBe("thanks @Bob ");
  await page.keyboard.press("Enter");
  await expect.poll(() => chat.messages.at(-1)?.text).toBe("thanks @Bob");
});

test("nothing that people write becomes markup, a script, or a link that isn't one", async () => {
  const evil = [
    "<img src=x onerror=\"window.pwned=1\">",
    "[click](javascript:window.pwned=1)",
    "[click](data:text/html,<script>window.pwned=1</script>)",
    "[bank](https://bank.example@evil.example/)",
    "<script>window.pwned=1</script>",
    "```html\n<svg onload=window.pwned=1>\n```",
    "\u202emoc.live\u202c and \u0000 and \ud83d\ude00",
  ];
  for (const text of evil) chat.say(harvest, { ...bob, name: "<b onmouseover=window.pwned=1>Bob</b>" }, text);
  chat.channel("<script>window.pwned=1</script>");
  await open();
  await log().getByText("moc.live").waitFor();
  expect(await pwned(page)).toBeUndefined();
  expect(await log().locator("img, script, svg[onload]").count()).toBe(0);
  const links = await log().locator("a").evaluateAll((all) => all.map((one) => (one as HTMLAnchorElement).href));
  expect(links).toEqual([]);
  await log().getByText("<img src=x").waitFor();
});

test("a long history is read in pieces, the place stays, and little of it is on the page", async () => {
  for (let n = 0; n < 1000; n++) chat.say(harvest, n % 3 === 0 ? me : bob, `message number ${n}`, { minutes: 0.5 });
  await open();
  await log().getByText("message number 999").waitFor();
  await readUpTo(900);
  expect(await log().getByRole("article").count()).toBeLessThan(80);
  chat.say(harvest, bob, "meanwhile at the end");
  // The page knows of it, and doesn't jump there.
  await page.getByRole("link", { name: /harvest 1 unread/ }).waitFor();
  expect(await log().getByText("meanwhile at the end").count()).toBe(0);
  // The wheel may still be turning, and going up again is what a reader may do: it's pressed until one is there.
  const toNewest = page.getByRole("button", { name: "To the newest" });
  await expect.poll(async () => {
    if (await toNewest.isVisible()) await toNewest.click();
    return log().getByText("meanwhile at the end").count();
  }).toBe(1);
});

test("answers stand in their thread alone, and a page that holds nothing else isn't taken for an empty channel", async () => {
  const root = chat.say(harvest, bob, "Who has the key?");
  for (let n = 0; n < 70; n++) chat.say(harvest, cleo, `answer ${n}`, { reply_to: root.id, minutes: 0.1 });
  await page.goto(`${proxy.url}/s/${space}/c/${harvest.id}`);
  await log().getByRole("button", { name: "70 replies" }).click();
  await page.getByRole("log", { name: "Thread" }).getByText("answer 69").waitFor();
  expect(await log().getByText(/^answer \d+$/).count()).toBe(0);
  expect(await page.getByText("This is #harvest").count()).toBe(0);
});

test("the line stands where the first unread answer is, its thread says how many are new, and opening it is seeing them", async () => {
  const root = chat.say(harvest, bob, "Who has the key?");
  chat.say(harvest, me, "Not me.");
  for (let n = 0; n < 80; n++) chat.say(harvest, bob, `row ${n}`, { minutes: 0.5 });
  Object.assign(harvest, { unread: 0, new_since: null });
  chat.say(harvest, cleo, "I have it", { reply_to: root.id });
  chat.say(harvest, bob, "Bring it, please", { reply_to: root.id });
  await open();
  // Nothing else is new: the line is last, and leads to what was said far above it.
  const line = log().locator(".day.new");
  await line.getByRole("button", { name: "2 replies in a thread above" }).waitFor();
  expect((await log().locator("[data-message], .day.new").last().getAttribute("class")) ?? "").toContain("new");
  await shot(page, "new-answers");
  expect(await violations(page)).toEqual([]);
  // What comes then stands behind it.
  chat.say(harvest, bob, "Later in the channel");
  await log().getByText("Later in the channel").waitFor();
  const texts = await log().locator("[data-message], .day.new").allTextContents();
  expect(texts.findIndex((text) => text.startsWith("new"))).toBe(texts.findIndex((text) => text.includes("Later in the channel")) - 1);
  await line.getByRole("button").click();
  await page.getByRole("log", { name: "Thread" }).getByText("Bring it, please").waitFor();
  await line.getByRole("button").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Close the thread" }).click();
  // Its next answer is told of under it too.
  chat.say(harvest, cleo, "At six", { reply_to: root.id });
  await line.getByRole("button", { name: "1 reply in a thread above" }).waitFor();
  const under = log().getByRole("button", { name: /^3 replies, last at .*1 new$/ });
  await expect.poll(async () => {
    await log().hover();
    await page.mouse.wheel(0, -3000);
    return under.count();
  }).toBe(1);
  await shot(page, "new-answers-thread");
});

test("far up in a history everything is as the node has it, though it told of the channel alone", async () => {
  for (let n = 0; n < 700; n++) chat.say(harvest, bob, `message number ${n}`, { minutes: 0.5 });
  await open();
  await readUpTo(250);
  await page.waitForLoadState("networkidle");
  let asked = 0;
  page.on("request", (one) => void (one.url().includes("/messages?") && asked++));
  // As of very many changes at once nothing is told of the messages themselves. The newest 300 stay as they are.
  chat.messages.slice(0, 400).forEach((one, n) => Object.assign(one, { text: `number ${n} put right`, edited: true }));
  chat.changeChannel(harvest, {});
  const old = () => log().getByText(/^message number [1-3]?\d?\d$/).count();
  await log().getByText("put right").first().waitFor();
  await expect.poll(old).toBe(0);
  expect(asked, "the newest, and what is in sight").toBeLessThan(6);
  // And so down to the first of those that were read again together, in steps that leave no row out.
  await expect.poll(async () => {
    await log().hover();
    await page.mouse.wheel(0, 600);
    return log().getByText("number 399 put right").count();
  }).toBe(1);
  await expect.poll(old).toBe(0);
  expect(asked, "a screen at a time").toBeLessThan(16);
});

test("search leads to the message in its place", async () => {
  for (let n = 0; n < 300; n++) chat.say(harvest, bob, n === 40 ? "the golden pumpkin" : `row ${n}`, { minutes: 0.5 });
  await page.goto(`${proxy.url}/s/${space}/search`);
  await page.getByRole("searchbox", { name: "Words" }).fill("pumpkin");
  const hit = page.getByRole("list", { name: "Found messages" }).getByRole("link");
  await hit.waitFor();
  await shot(page, "search");
  expect(await violations(page)).toEqual([]);
  expect(await hit.locator("mark").textContent()).toBe("pumpkin");
  await hit.click();
  await log().getByText("the golden pumpkin").waitFor();
});

test("the words of a search are there again when one comes back from what was found, and when the page is loaded anew", async () => {
  chat.say(harvest, bob, "the golden pumpkin");
  await open();
  await page.getByRole("link", { name: "Search here" }).click();
  const words = page.getByRole("searchbox", { name: "Words" });
  await words.pressSequentially("golden pumpkin");
  const hit = page.getByRole("list", { name: "Found messages" }).getByRole("link");
  await hit.click();
  await log().getByText("the golden pumpkin").waitFor();
  await page.goBack();
  await hit.waitFor();
  expect(await words.inputValue()).toBe("golden pumpkin");
  expect(await page.getByRole("combobox", { name: "Where" }).inputValue()).toBe(harvest.id);
  await page.reload();
  await hit.waitFor();
  expect(await words.inputValue()).toBe("golden pumpkin");
  // However many letters there were, one step back leads to where one was before.
  await page.goBack();
  await box().waitFor();
});

test("all that was found can be shown, a page after the other", async () => {
  for (let n = 0; n < 120; n++) chat.say(harvest, bob, `bean number ${n}`, { minutes: 0.5 });
  await page.goto(`${proxy.url}/s/${space}/search`);
  await page.getByRole("searchbox", { name: "Words" }).fill("bean");
  const hits = page.getByRole("list", { name: "Found messages" }).getByRole("link");
  await page.getByText("The newest 50 are shown.").waitFor();
  expect(await hits.count()).toBe(50);
  await shot(page, "search-more");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByText("The newest 100 are shown.").waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByText("These are all.").waitFor();
  expect(await hits.count()).toBe(120);
  expect(await page.getByRole("button", { name: "Show more" }).count()).toBe(0);
  await page.getByRole("list", { name: "Found messages" }).getByText("number 0").waitFor();
});

test("the keys lead through the messages to what can be done with one", async () => {
  chat.say(harvest, bob, "first");
  chat.say(harvest, cleo, "second");
  await open();
  await log().focus();
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowUp");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toContain("first");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Reply in a thread");
  await page.keyboard.press("Enter");
  await page.getByRole("complementary", { name: "Thread" }).getByText("first").waitFor();
});

test("what can be done with a message is there for who turns to it, takes no room, and gets the focus back from what it opened", async () => {
  const said = chat.say(harvest, bob, "first");
  for (let n = 0; n < 20; n++) chat.say(harvest, n % 2 ? bob : me, `row ${n}`);
  await open();
  const row = log().locator(`[data-message="${said.id}"]`);
  const toolbars = log().getByRole("toolbar");
  const places = () => log().getByRole("article").evaluateAll((all) => all.map((one) => JSON.stringify(one.getBoundingClientRect())));
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
  expect(await toolbars.count()).toBe(0);
  await row.scrollIntoViewIfNeeded();
  const before = await places();
  await row.hover();
  await row.getByRole("toolbar").waitFor();
  expect(await places()).toEqual(before);
  await page.getByRole("heading", { name: "harvest", level: 1 }).hover();
  await expect.poll(() => toolbars.count()).toBe(0);

  // By the keys, and only the last message that had the focus keeps them.
  await row.focus();
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => toolbars.count()).toBe(1);
  expect(await row.getByRole("toolbar").count()).toBe(0);
  const own = kept("row 0");
  await own.getByRole("button", { name: "Delete" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("alertdialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("alertdialog").waitFor({ state: "detached" });
  await expect.poll(focused).toBe("Delete");
  await own.getByRole("button", { name: "React" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Emoji" }).waitFor();
  await page.keyboard.press("Escape");
  await expect.poll(focused).toBe("React");

  // By what reads the page to somebody, which presses what it came to without giving it the focus first.
  await row.getByRole("button", { name: "What to do with the message of Bob" }).dispatchEvent("click");
  await expect.poll(focused).toBe("React");
  expect(await row.getByRole("toolbar").count()).toBe(1);
  expect(await violations(page)).toEqual([]);
});

test("when a thread closes, the focus goes back to where it was opened", async () => {
  const root = chat.say(harvest, bob, "Who has the key?");
  chat.say(harvest, cleo, "I have it", { reply_to: root.id });
  await open();
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
  const thread = page.getByRole("complementary", { name: "Thread" });
  const replies = log().getByRole("button", { name: "1 reply" });
  for (const close of [() => page.keyboard.press("Escape"), () => thread.getByRole("button", { name: "Close the thread" }).click(), () => page.goBack()]) {
    await replies.focus();
    await page.keyboard.press("Enter");
    await thread.getByRole("textbox", { name: "Reply" }).waitFor();
    await thread.getByRole("textbox", { name: "Reply" }).focus();
    await close();
    await thread.waitFor({ state: "detached" });
    await expect.poll(focused).toMatch(/^1 reply/);
  }
  // What it was opened by may be gone; the message that it's under is there. And where the focus is elsewhere, it stays.
  await open(harvest, `?thread=${root.id}`);
  await thread.getByRole("textbox", { name: "Reply" }).focus();
  await page.keyboard.press("Escape");
  await expect.poll(focused).toContain("Who has the key?");
  await open(harvest, `?thread=${root.id}`);
  await thread.getByRole("textbox", { name: "Reply" }).waitFor();
  await page.getByRole("button", { name: "About the channel" }).click();
  await thread.waitFor({ state: "detached" });
  expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Close the side pane");
});

test("the tab's title tells how much is unread", async () => {
  await open();
  await expect.poll(() => page.title()).toBe("# harvest - Covey");
  const general = chat.channels[0] as Channel;
  for (let n = 0; n < 3; n++) chat.say(general, bob, `row ${n}`);
  await expect.poll(() => page.title()).toBe("(3) # harvest - Covey");
  await page.getByRole("link", { name: "Network" }).first().click();
  await expect.poll(() => page.title()).toBe("(3) Network - Covey");
  await page.getByRole("link", { name: /^general 3 unread/ }).click();
  await expect.poll(() => page.title()).toBe("# general - Covey");
});

test("single keys can be switched off, and the palette is reached all the same", async () => {
  await page.goto(`${proxy.url}/settings`);
  const keys = page.getByRole("group", { name: "Single keys" }).or(page.getByRole("radiogroup", { name: "Single keys" }));
  await keys.getByRole("radio", { name: "Off" }).check();
  await page.getByRole("heading", { name: "Settings", level: 1 }).click();
  const palette = page.getByRole("combobox", { name: "Go anywhere, do anything" });
  for (const key of ["n", "/", "?"]) await page.keyboard.press(key);
  expect(new URL(page.url()).pathname).toBe("/settings");
  expect(await page.getByRole("dialog").count()).toBe(0);
  await page.keyboard.press("Control+k");
  await palette.waitFor();
  await page.keyboard.press("Escape");
  await palette.waitFor({ state: "detached" });
  await keys.getByRole("radio", { name: "On" }).check();
  await page.getByRole("heading", { name: "Settings", level: 1 }).click();
  await page.keyboard.press("n");
  await page.getByRole("heading", { name: "Network", level: 1 }).waitFor();
});

test("the messages of a channel that is chosen in the palette are asked for before it's opened", async () => {
  const general = chat.channels[0] as Channel;
  chat.say(general, bob, "hello from general");
  await open();
  await page.keyboard.press("Control+k");
  const asked = page.waitForRequest((one) => one.url().includes(`/channels/${general.id}/messages`));
  await page.getByRole("combobox", { name: "Go anywhere, do anything" }).pressSequentially("general");
  await asked;
  await page.keyboard.press("Enter");
  await log().getByText("hello from general").waitFor();
});

test("two tabs share the draft and what is unread", async () => {
  await open();
  const other = await tab.context.newPage();
  await other.goto(`${proxy.url}/s/${space}/c/${harvest.id}`);
  await other.getByRole("textbox", { name: "Write to #harvest" }).waitFor();
  await box().fill("from the first tab");
  await expect.poll(() => other.getByRole("textbox", { name: "Write to #harvest" }).inputValue()).toBe("from the first tab");
  await box().press("Enter");
  await other.getByRole("log").getByText("from the first tab").waitFor();
  await expect.poll(() => chat.sentIds.length).toBe(1);
  chat.say(chat.channels[0] as Channel, bob, "@Ada look");
  await page.getByRole("link", { name: /general 1 unread, 1 for you/ }).waitFor();
});

test("a channel is renamed, described, put into the archive and brought back", async () => {
  chat.say(harvest, bob, "The beans are in.");
  await open();
  await page.getByRole("button", { name: "About the channel" }).click();
  const about = page.getByRole("complementary", { name: "About the channel" });
  await about.getByText("What is ripe, and who picks it").waitFor();
  await about.getByRole("button", { name: "Channel settings" }).click();
  const settings = page.getByRole("dialog", { name: "Channel settings" });
  await settings.getByLabel("Name").fill("kitchen");
  await settings.getByLabel("What it is about").fill("Who cooks, and when");
  await shot(page, "channel-settings");
  expect(await violations(page)).toEqual([]);
  await settings.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "kitchen", level: 1 }).waitFor();
  await about.getByText("Who cooks, and when").waitFor();
  expect(harvest).toMatchObject({ name: "kitchen", topic: "Who cooks, and when" });
  await about.getByRole("button", { name: "Archive the channel" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Archive it" }).click();
  await expect.poll(() => page.getByRole("textbox", { name: "Write to #kitchen" }).getAttribute("readonly")).not.toBeNull();
  await shot(page, "channel-archived");
  expect(await violations(page)).toEqual([]);
  // It's found where archived ones are, can be read, and nothing in it can be changed.
  await page.getByRole("link", { name: "kitchen" }).waitFor();
  await log().getByRole("article").focus();
  await log().getByRole("button", { name: "Reply in a thread" }).waitFor();
  expect(await log().getByRole("button", { name: "React" }).count()).toBe(0);
  await about.getByRole("button", { name: "Bring it back" }).click();
  await expect.poll(() => page.getByRole("textbox", { name: "Write to #kitchen" }).getAttribute("readonly")).toBeNull();
});

test("whoever is no admin is offered none of that", async () => {
  harvest.members = [{ ...me, role: "member" }, bob];
  const status = await node.client.status();
  const spaces = status.spaces.map((one) => ({ ...one, role: "member" }));
  await page.route("**/api/v1/status", (route) => route.fulfill({ json: { ...status, spaces } }));
  await open();
  await page.getByRole("button", { name: "About the channel" }).click();
  const about = page.getByRole("complementary", { name: "About the channel" });
  await about.getByRole("button", { name: "Leave the channel" }).waitFor();
  expect(await about.getByRole("button", { name: /settings|Archive/ }).count()).toBe(0);
});

test("a message that is being changed is still there after the page was loaded again", async () => {
  chat.say(harvest, me, "The beans are in.");
  await open();
  await box().press("ArrowUp");
  await page.getByRole("textbox", { name: "Edit the message" }).fill("The beans and the pea");
  await page.reload();
  await kept("The beans are in.").waitFor();
  await box().press("ArrowUp");
  await expect.poll(() => page.getByRole("textbox", { name: "Edit the message" }).inputValue()).toBe("The beans and the pea");
  await page.getByRole("button", { name: "Cancel" }).click();
  await box().press("ArrowUp");
  await expect.poll(() => page.getByRole("textbox", { name: "Edit the message" }).inputValue()).toBe("The beans are in.");
});

test("an empty channel offers to say hello, and a message that is too long is told before it's sent", async () => {
  await open();
  await shot(page, "chat-empty");
  await page.getByRole("button", { name: "Say hello" }).click();
  await expect.poll(() => box().inputValue()).toBe("Hello! ");
  await box().fill("x".repeat(17_000));
  await page.getByRole("alert").filter({ hasText: "longer than a message may be" }).waitFor();
  await box().press("Enter");
  expect(chat.messages).toHaveLength(0);
});
