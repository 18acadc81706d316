/** Three people at three real nodes: what one does shows on the others' open pages, and what isn't theirs doesn't. */
import type { Channel } from "@covey/client";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openBrowser, openTab, PATIENCE_MS, shot, violations, type Tab } from "./browser.ts";
import { startNode, type TestNode } from "./nodes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

interface Person {
  node: TestNode;
  proxy: Proxy;
  tab: Tab;
  page: Page;
  user: string;
}

let browser: Browser;
let space: string;
let ada: Person;
let bob: Person;
let cleo: Person;
let harvest: Channel;

async function person(name: string): Promise<Person> {
  const node = await startNode(name, `${name.toLowerCase()}-laptop`);
  const [proxy, tab, status] = await Promise.all([startProxy(node, null), openTab(browser), node.client.status()]);
  return { node, proxy, tab, page: tab.page, user: status.node.user_id };
}

/** Outside of a test `expect.poll` can't be used. */
const until = (fits: () => Promise<boolean>): Promise<void> =>
  vi.waitFor(async () => {
    if (!(await fits().catch(() => false))) throw new Error("not yet");
  }, { timeout: PATIENCE_MS, interval: 100 });

beforeAll(async () => {
  browser = await openBrowser();
  [ada, bob, cleo] = await Promise.all([person("Ada"), person("Bob"), person("Cleo")]);
  space = (await ada.node.client.createSpace("garden")).id;
  for (const one of [bob, cleo]) await one.node.client.join((await ada.node.client.invite(space, "member")).code, 30);
  harvest = await ada.node.client.createChannel(space, { name: "harvest", private: false, topic: "What is ripe" });
  for (const one of [bob, cleo]) {
    await until(async () => (await one.node.client.channels(space)).items.some((channel) => channel.id === harvest.id));
    await one.node.client.joinChannel(space, harvest.id);
  }
  await until(async () => (await ada.node.client.channels(space)).items.every((channel) => channel.members.length === 3));
});
afterAll(async () => {
  await browser?.close();
  const all = [ada, bob, cleo].filter(Boolean);
  await Promise.all(all.map((one) => one.proxy.stop()));
  await Promise.all(all.map((one) => one.node.stop()));
});

const say = (who: Person, channel: string, text: string) => who.node.client.sendMessage(space, channel, { text, client_id: crypto.randomUUID() });
const log = (who: Person) => who.page.getByRole("log", { name: "Messages" });
const said = (who: Person, text: string | RegExp) => log(who).getByRole("article").filter({ hasText: text });
const open = async (who: Person, channel: string, query = "") => {
  await who.page.goto(`${who.proxy.url}/s/${space}/c/${channel}${query}`);
  await who.page.getByRole("textbox", { name: /^Write to/ }).waitFor();
};
const about = (who: Person) => who.page.getByRole("complementary", { name: "About the channel" });
const knows = (who: Person, id: string) => until(() => who.node.client.message(space, id).then(() => true));
/** A page that is loaded again has forgotten this. */
const isTheSame = async (page: Page, begin = false): Promise<boolean> =>
  page.evaluate((set) => {
    const here = window as unknown as { stayed?: boolean };
    if (set) here.stayed = true;
    return here.stayed === true;
  }, begin);

test("what somebody wrote while they were away shows on an open page, all of it, in its place", async () => {
  await say(ada, harvest.id, "before");
  await open(ada, harvest.id);
  await said(ada, "before").waitFor();
  await isTheSame(ada.page, true);
  // Bob goes where nobody is, and writes on.
  bob.node = await bob.node.restart("solo");
  for (let n = 0; n < 100; n++) await say(bob, harvest.id, `from away ${n}`);
  const box = ada.page.getByRole("textbox", { name: "Write to #harvest" });
  await box.fill("meanwhile at home");
  await box.press("Enter");
  await said(ada, "meanwhile at home").waitFor();
  expect(await said(ada, "from away").count()).toBe(0);
  bob.node = await bob.node.restart("lan");
  await said(ada, /from away 99$/).waitFor();
  // It was said after all that, and stands where it was said.
  const last = await log(ada).getByRole("article").last().textContent();
  expect(last).toContain("meanwhile at home");
  const seen = new Set<number>();
  await expect.poll(async () => {
    for (const text of await log(ada).getByText(/^from away \d+$/).allTextContents()) seen.add(Number(text.split(" ")[2]));
    await log(ada).hover();
    await ada.page.mouse.wheel(0, -500);
    return seen.size;
  }).toBe(100);
  await said(ada, "before").first().waitFor();
  expect(await isTheSame(ada.page)).toBe(true);
  // And the other way: Ada's came to Bob when he was back.
  await open(bob, harvest.id);
  await said(bob, "meanwhile at home").waitFor();
});

test("whoever reads a message later shows as having read it on its author's open page", async () => {
  const direct = await ada.node.client.direct(space, [bob.user]);
  await until(async () => (await bob.node.client.channels(space)).items.some((one) => one.id === direct.id));
  await open(ada, direct.id);
  await isTheSame(ada.page, true);
  bob.node = await bob.node.restart("lan", async () => {
    await ada.page.getByRole("textbox").fill("Did the rain come?");
    await ada.page.keyboard.press("Enter");
    await said(ada, "Did the rain come?").getByText("only here yet").waitFor();
    // Her own mark has been told of by then; what shows next is told by the delivery alone.
    await until(async () => (await ada.node.client.channels(space)).items.every((one) => one.id !== direct.id || one.unread === 0));
  });
  await said(ada, "Did the rain come?").getByText("delivered to 1").waitFor();
  // Nothing else happens until Bob opens it.
  await open(bob, direct.id);
  await said(ada, "Did the rain come?").getByText("read by 1").waitFor();
  expect(await isTheSame(ada.page)).toBe(true);
});

test("a private channel is nothing to whoever isn't in it, comes to who is taken in, and goes with who is put out", async () => {
  const { page } = ada;
  await page.goto(`${ada.proxy.url}/s/${space}`);
  await page.getByRole("button", { name: "New channel" }).click();
  await page.getByText("Private channel", { exact: true }).click();
  await page.getByLabel("Name").fill("surprise");
  await page.getByRole("button", { name: "Start it" }).click();
  await page.getByRole("textbox", { name: "Write to #surprise" }).waitFor();
  const surprise = (await ada.node.client.channels(space)).items.find((one) => one.name === "surprise") as Channel;
  await page.getByRole("button", { name: "About the channel" }).click();
  await about(ada).getByLabel("Somebody of the space").selectOption({ label: "Bob" });
  await about(ada).getByRole("button", { name: "Add" }).click();
  await page.getByText("Bob is in surprise now.").waitFor();
  await say(ada, surprise.id, "a cake for Cleo");
  await bob.page.goto(`${bob.proxy.url}/s/${space}`);
  await bob.page.getByRole("link", { name: /^surprise/ }).click();
  await said(bob, "a cake for Cleo").waitFor();
  // Something that came after all that shows that Cleo had the time to get it.
  await open(cleo, harvest.id);
  await say(ada, harvest.id, "for everybody");
  await said(cleo, "for everybody").waitFor();
  expect(await cleo.page.getByText("surprise").count()).toBe(0);
  await cleo.page.goto(`${cleo.proxy.url}/s/${space}/c/${surprise.id}`);
  await cleo.page.getByRole("heading", { name: "There is nothing at this address" }).waitFor();
  await cleo.page.goto(`${cleo.proxy.url}/s/${space}/search?q=cake`);
  await cleo.page.getByText("Nobody said that here.").waitFor();

  // Bob is made an admin, which shows on his page, and put back.
  const more = about(ada).getByRole("button", { name: "What to do with Bob" });
  await bob.page.getByRole("button", { name: "About the channel" }).click();
  expect(await about(bob).getByRole("button", { name: /settings|What to do/ }).count()).toBe(0);
  await more.click();
  await shot(page, "channel-person");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("menuitem", { name: "Make them an admin" }).click();
  await page.getByText("Bob is an admin of surprise now.").waitFor();
  await about(bob).getByRole("button", { name: "Channel settings" }).waitFor();
  // Ada made it and is its owner: an admin can't take that from her, nor put her out.
  expect(await about(bob).getByRole("button", { name: "What to do with Ada" }).count()).toBe(0);
  await more.click();
  await page.getByRole("menuitem", { name: "No admin any more" }).click();
  await about(bob).getByRole("button", { name: "Channel settings" }).waitFor({ state: "detached" });
  await more.click();
  await page.getByRole("menuitem", { name: "Put out of the channel" }).click();
  const asked = page.getByRole("alertdialog", { name: "Put Bob out of surprise?" });
  await shot(page, "channel-put-out");
  expect(await violations(page)).toEqual([]);
  await asked.getByRole("button", { name: "Put them out" }).click();
  await page.getByText("Bob is out of surprise.").waitFor();
  // What he had of it stays his, as a space that can be read; the channel is gone.
  await bob.page.locator(`a.room[href="/s/${space}/c/${surprise.id}"]`).waitFor({ state: "detached" });
});

test("an admin deletes what others wrote in a channel, invites, and names admins; in a direct message nobody judges the other", async () => {
  const rude = await say(bob, harvest.id, "something rude");
  await knows(ada, rude.id);
  await open(ada, harvest.id, "?side=people");
  await open(bob, harvest.id);
  await said(bob, "something rude").waitFor();
  const theirs = said(ada, "something rude");
  await theirs.hover();
  expect(await theirs.getByRole("button", { name: "Edit" }).count()).toBe(0);
  await theirs.getByRole("button", { name: "Delete" }).click();
  const asked = ada.page.getByRole("alertdialog", { name: "Delete this message of Bob?" });
  await asked.getByRole("button", { name: "Delete" }).click();
  await said(bob, "This message was deleted.").waitFor();
  // A member is offered no such thing over what Ada said.
  const adas = said(bob, "meanwhile at home");
  await adas.hover();
  await adas.getByRole("button", { name: "Reply in a thread" }).waitFor();
  expect(await adas.getByRole("button", { name: "Delete" }).count()).toBe(0);

  // Whoever isn't in a public channel is invited; who was named an admin keeps it, and names nobody.
  const beds = await ada.node.client.createChannel(space, { name: "beds", private: false, topic: "" });
  await open(ada, beds.id, "?side=people");
  for (const name of ["Bob", "Cleo"]) {
    await about(ada).getByLabel("Somebody of the space").selectOption({ label: name });
    await about(ada).getByRole("button", { name: "Invite" }).click();
    await ada.page.getByText(`${name} is in beds now.`).waitFor();
  }
  await about(ada).getByRole("button", { name: "What to do with Bob" }).click();
  await ada.page.getByRole("menuitem", { name: "Make them an admin" }).click();
  await ada.page.getByText("Bob is an admin of beds now.").waitFor();
  await bob.page.getByRole("link", { name: /^beds/ }).click();
  await bob.page.getByRole("button", { name: "About the channel" }).click();
  await about(bob).getByRole("button", { name: "Channel settings" }).waitFor();
  expect(await about(bob).getByRole("button", { name: "What to do with Ada" }).count()).toBe(0);
  expect(await about(bob).getByRole("button", { name: "What to do with Cleo" }).count()).toBe(0);
  await expect(bob.node.client.setChannelRole(space, beds.id, cleo.user, "admin")).rejects.toThrow(/only who made the channel .* and the admins of the space name its admins/);

  // In what he made he does, and stays an admin of it whoever leads the space.
  const herbs = await bob.node.client.createChannel(space, { name: "herbs", private: false, topic: "" });
  for (const one of [ada, cleo]) await bob.node.client.addToChannel(space, herbs.id, one.user);
  await bob.node.client.setChannelRole(space, herbs.id, cleo.user, "admin");
  await open(bob, herbs.id, "?side=people");
  await about(bob).getByRole("button", { name: "What to do with Cleo" }).click();
  await bob.page.getByRole("menuitem", { name: "No admin any more" }).waitFor();
  await until(async () => (await ada.node.client.channels(space)).items.some((one) => one.id === herbs.id && one.members.some((them) => them.user === cleo.user && them.role === "admin")));
  await open(ada, herbs.id, "?side=people");
  await about(ada).getByRole("button", { name: "What to do with Cleo" }).waitFor();
  expect(await about(ada).getByRole("button", { name: "What to do with Bob" }).count()).toBe(0);

  const direct = await ada.node.client.direct(space, [bob.user]);
  const his = await say(bob, direct.id, "between us");
  await knows(ada, his.id);
  await open(ada, direct.id);
  await said(ada, "between us").hover();
  await said(ada, "between us").getByRole("button", { name: "React" }).waitFor();
  expect(await said(ada, "between us").getByRole("button", { name: "Delete" }).count()).toBe(0);
  await expect(ada.node.client.deleteMessage(space, his.id)).rejects.toThrow("in a direct message only who wrote a message deletes it");
});

test("a few talk among themselves, begun in the dialog", async () => {
  const { page } = ada;
  await page.goto(`${ada.proxy.url}/s/${space}`);
  await page.getByRole("button", { name: "New channel" }).click();
  const dialog = page.getByRole("dialog", { name: "A new place to talk" });
  await dialog.getByText("Direct", { exact: true }).click();
  const start = dialog.getByRole("button", { name: "Write to them" });
  expect(await start.getAttribute("aria-disabled")).toBe("true");
  await dialog.getByRole("checkbox", { name: "Bob" }).check();
  await dialog.getByRole("checkbox", { name: "Cleo" }).check();
  await shot(page, "group-dialog");
  expect(await violations(page)).toEqual([]);
  await start.click();
  await page.getByRole("heading", { name: "Bob, Cleo", level: 1 }).waitFor();
  await page.getByRole("textbox", { name: "Write to Bob, Cleo" }).fill("the three of us");
  await page.keyboard.press("Enter");
  for (const [one, others] of [[bob, "Ada, Cleo"], [cleo, "Ada, Bob"]] as const) {
    await one.page.goto(`${one.proxy.url}/s/${space}`);
    await one.page.getByRole("link", { name: new RegExp(`^${others} 1`) }).click();
    await said(one, "the three of us").waitFor();
  }
  // It's a space of its own underneath, which is nobody's concern.
  expect(await cleo.page.getByRole("heading", { name: "Within it" }).count()).toBe(0);
  await cleo.page.getByRole("textbox", { name: "Write to Ada, Bob" }).fill("and me");
  await cleo.page.keyboard.press("Enter");
  for (const one of [ada, bob]) await said(one, "and me").waitFor();
  await said(ada, "the three of us").getByText("read by 2").waitFor();
});

test("who types and who is there is seen on the other side, by the mouse alone too", async () => {
  await open(ada, harvest.id, "?side=people");
  const { page, context } = await openTab(browser);
  await page.clock.install();
  await page.goto(`${bob.proxy.url}/s/${space}/c/${harvest.id}`);
  const box = page.getByRole("textbox", { name: "Write to #harvest" });
  await box.pressSequentially("hm");
  await ada.page.getByText("Bob is writing").waitFor();
  const him = about(ada).getByRole("listitem").filter({ hasText: "Bob" });
  await him.getByText("online").waitFor();
  await shot(ada.page, "presence");
  // He gets himself a coffee. His other tab, which lay open before, is no sign of him.
  await page.clock.fastForward("05:01");
  await him.getByText("away").waitFor();
  await page.mouse.move(300, 300);
  await page.mouse.move(320, 310);
  await him.getByText("online").waitFor();
  await ada.page.getByText("Bob is writing").waitFor({ state: "detached" });
  await context.close();
});

test("what comes in while nobody sits at the open page is neither read nor makes them present", async () => {
  // Bob's other page lies open in a browser of its own, and would count as another place where he is.
  await bob.page.goto("about:blank");
  await open(ada, harvest.id, "?side=people");
  const { page, context } = await openTab(browser);
  await say(ada, harvest.id, "here is something to read");
  await page.clock.install();
  let marks = 0;
  page.on("request", (one) => void (one.url().endsWith("/read") && marks++));
  await page.goto(`${bob.proxy.url}/s/${space}/c/${harvest.id}`);
  await page.getByRole("textbox", { name: "Write to #harvest" }).waitFor();
  const unread = async () => (await bob.node.client.channels(space)).items.find((one) => one.id === harvest.id)?.unread;
  const him = about(ada).getByRole("listitem").filter({ hasText: "Bob" });
  await him.getByText("online").waitFor();
  // Opening it is reading it.
  await expect.poll(() => marks).toBeGreaterThan(0);
  await expect.poll(unread).toBe(0);
  await page.clock.fastForward("05:01");
  await him.getByText("away").waitFor();
  const before = marks;
  const late = await say(ada, harvest.id, "are you back?");
  await page.getByRole("log").getByText("are you back?").waitFor();
  await page.getByRole("link", { name: /^harvest 1 unread/ }).waitFor();
  expect(marks).toBe(before);
  expect(await unread()).toBe(1);
  expect((await bob.node.client.presence(space)).items.find((one) => one.user === bob.user)?.state).toBe("away");
  expect((await ada.node.client.message(space, late.id)).read_by).not.toContain(bob.user);
  // He comes back, and only moves the mouse.
  await page.mouse.move(300, 300);
  await page.mouse.move(320, 310);
  await him.getByText("online").waitFor();
  await expect.poll(unread).toBe(0);
  await expect.poll(async () => (await ada.node.client.message(space, late.id)).read_by).toContain(bob.user);
  await context.close();
});

test("what is being written is found in another browser, and what was sent isn't", async () => {
  const second = await openTab(browser);
  const url = `${ada.proxy.url}/s/${space}/c/${harvest.id}`;
  const elsewhere = second.page.getByRole("textbox", { name: "Write to #harvest" });
  const drafted = async () => {
    await second.page.goto(url);
    await elsewhere.waitFor();
    return elsewhere.inputValue();
  };
  await open(ada, harvest.id);
  const box = ada.page.getByRole("textbox", { name: "Write to #harvest" });
  await box.fill("half a thou");
  // Off to another channel at once, faster than the pause in which it would be told to the node.
  await ada.page.getByRole("link", { name: "beds", exact: true }).click();
  await ada.page.getByRole("textbox", { name: "Write to #beds" }).waitFor();
  await expect.poll(drafted).toBe("half a thou");
  await ada.page.getByRole("link", { name: "harvest", exact: true }).click();
  await expect.poll(() => box.inputValue()).toBe("half a thou");
  await box.fill("a whole thought");
  await box.press("Enter");
  await ada.page.getByRole("link", { name: "beds", exact: true }).click();
  await ada.page.getByRole("textbox", { name: "Write to #beds" }).waitFor();
  const fresh = await openTab(browser);
  await expect.poll(async () => (await ada.node.client.channels(space)).items.find((one) => one.id === harvest.id)?.draft).toBe("");
  await fresh.page.goto(url);
  await fresh.page.getByRole("log").getByText("a whole thought").waitFor();
  expect(await fresh.page.getByRole("textbox", { name: "Write to #harvest" }).inputValue()).toBe("");
  // And what is written there shows here, where nothing is being written.
  await fresh.page.getByRole("textbox", { name: "Write to #harvest" }).fill("from the other browser");
  await expect.poll(async () => (await ada.node.client.channels(space)).items.find((one) => one.id === harvest.id)?.draft).toBe("from the other browser");
  await ada.page.reload();
  await ada.page.getByRole("link", { name: "harvest", exact: true }).click();
  await expect.poll(() => box.inputValue()).toBe("from the other browser");
  await box.fill("");
  await fresh.context.close();
  await second.context.close();
});

test("what was begun here and sent from another browser is a draft here no longer", async () => {
  await open(ada, harvest.id);
  const box = ada.page.getByRole("textbox", { name: "Write to #harvest" });
  const kept = async () => (await ada.node.client.channel(space, harvest.id)).draft;
  await box.fill("begun here");
  await expect.poll(kept).toBe("begun here");
  const { page, context } = await openTab(browser);
  await page.goto(`${ada.proxy.url}/s/${space}/c/${harvest.id}`);
  const elsewhere = page.getByRole("textbox", { name: "Write to #harvest" });
  await expect.poll(() => elsewhere.inputValue()).toBe("begun here");
  await elsewhere.press("Enter");
  await expect.poll(kept).toBe("");
  // Also where the page lay open all the while.
  await ada.page.evaluate(() => {
    Object.defineProperty(document, "hasFocus", { configurable: true, value: () => false });
    window.dispatchEvent(new Event("blur"));
    Reflect.deleteProperty(document, "hasFocus");
    window.dispatchEvent(new Event("focus"));
  });
  await expect.poll(() => box.inputValue()).toBe("");
  // What is written here since stays, whatever is on the node.
  await box.fill("mine");
  await expect.poll(kept).toBe("mine");
  await elsewhere.fill("theirs");
  await expect.poll(kept).toBe("theirs");
  await ada.page.route("**/draft", (route) => route.abort());
  await box.fill("mine, and more");
  await ada.page.reload();
  await expect.poll(() => box.inputValue()).toBe("mine, and more");
  await ada.page.unroute("**/draft");
  await box.fill("");
  await expect.poll(kept).toBe("");
  await context.close();
});

test("a node that starts again under an open conversation costs nothing that was typed, and brings what came meanwhile", async () => {
  await open(ada, harvest.id);
  const box = ada.page.getByRole("textbox", { name: "Write to #harvest" });
  await box.fill("half a sentence");
  await isTheSame(ada.page, true);
  ada.node = await ada.node.restart("lan", async () => {
    await ada.page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
    for (let n = 0; n < 3; n++) await say(bob, harvest.id, `while Ada's node was away ${n}`);
    await box.press("Enter");
    await said(ada, "half a sentence").getByText("sending").waitFor();
    await box.fill("and another");
  });
  for (let n = 0; n < 3; n++) await said(ada, `while Ada's node was away ${n}`).waitFor();
  await said(ada, "half a sentence").getByText(/^(sent|delivered to|read by)/).waitFor();
  expect(await box.inputValue()).toBe("and another");
  expect(await isTheSame(ada.page)).toBe(true);
  await open(bob, harvest.id);
  await said(bob, "half a sentence").waitFor();
  await box.fill("");
});

test("a guest and a member are offered what they may, told why not, and refused by the node", async () => {
  await ada.node.client.setRole(space, cleo.user, "guest");
  const { page } = cleo;
  await page.goto(`${cleo.proxy.url}/s/${space}/c/${harvest.id}`);
  await until(async () => (await cleo.node.client.status()).spaces.some((one) => one.id === space && one.role === "guest"));
  const box = page.getByRole("textbox", { name: "Write to #harvest" });
  await expect.poll(() => box.getAttribute("readonly")).not.toBeNull();
  expect(await box.getAttribute("placeholder")).toBe("Guests read only.");
  await said(cleo, "meanwhile at home").waitFor();
  expect(await page.getByRole("button", { name: "New channel" }).count()).toBe(0);
  expect(await log(cleo).getByRole("button", { name: /React|Edit|Delete/ }).count()).toBe(0);
  await page.getByRole("button", { name: "About the channel" }).click();
  await about(cleo).getByText("What is ripe").waitFor();
  expect(await about(cleo).getByRole("button", { name: /Channel settings|Archive|Leave|Invite|Write to|What to do/ }).count()).toBe(0);
  await shot(page, "guest");
  expect(await violations(page)).toEqual([]);
  for (const one of [cleo, bob]) {
    await one.page.goto(`${one.proxy.url}/s/${space}/people`);
    const invite = one.page.getByRole("button", { name: "Invite" });
    await one.page.getByRole("list", { name: "Members" }).getByText(/^Ada\b/).first().waitFor();
    expect(await invite.getAttribute("aria-disabled")).toBe("true");
    await invite.hover();
    await one.page.getByText("Only admins and owners let people in.").waitFor();
    expect(await one.page.getByRole("button", { name: "Remove" }).count()).toBe(0);
    expect(await one.page.getByRole("combobox", { name: /^Role of/ }).count()).toBe(0);
  }
  // What a page that doesn't know yet sends is refused by the node, and its reason is shown.
  await expect(cleo.node.client.createChannel(space, { name: "mine", private: false, topic: "" })).rejects.toThrow(/guest|role|not allow/i);
  await ada.node.client.setRole(space, cleo.user, "member");
  await until(async () => (await cleo.node.client.status()).spaces.some((one) => one.id === space && one.role === "member"));
  await open(cleo, harvest.id);
  await expect.poll(() => box.getAttribute("readonly")).toBeNull();
  await page.route("**/api/v1/status", (route) => route.abort());
  await page.route("**/api/v1/events*", (route) => route.abort());
  await ada.node.client.setRole(space, cleo.user, "guest");
  await until(async () => (await cleo.node.client.status()).spaces.some((one) => one.id === space && one.role === "guest"));
  await box.fill("may I?");
  await box.press("Enter");
  await said(cleo, "may I?").getByText(/Not sent: .*(guest|role|not allow)/i).waitFor();
  await shot(page, "guest-refused");
});

test("the pages had nothing to complain about", () => {
  expect([ada, bob, cleo].flatMap((one) => one.tab.complaints)).toEqual([]);
});
