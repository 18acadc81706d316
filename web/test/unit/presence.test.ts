/** Who is told to be there, and when: one person at several tabs, who reads, types, or has gone for a coffee. */
import type { OwnPresence } from "@covey/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TELL_EVERY_MS, watchPresence, type PresenceWatch } from "../../src/chat/presence.ts";
import { AWAY_MS } from "../../src/lib/looking.ts";
import { write } from "../../src/lib/store.ts";

const MINUTE = 60_000;

/** A tab of one browser: all share what is stored. */
class Tab extends EventTarget {
  visibilityState: DocumentVisibilityState = "visible";
  readonly told: OwnPresence[] = [];
  readonly watch: PresenceWatch;
  private moves = 0;

  constructor() {
    super();
    this.watch = watchPresence((state) => Promise.resolve(void this.told.push(state)), this as unknown as Document);
    this.watch.setOpen(true);
    opened.push(this);
  }

  does(kind: string): void {
    this.dispatchEvent(Object.assign(new Event(kind), { screenX: ++this.moves, screenY: 0 }));
  }

  /** A browser tells of a move when the page moves under a mouse that lies still. */
  slides(): void {
    this.dispatchEvent(Object.assign(new Event("pointermove"), { screenX: this.moves, screenY: 0 }));
  }

  clear(): void {
    this.told.splice(0);
  }
}

const opened: Tab[] = [];
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  for (const tab of opened.splice(0)) tab.watch.stop();
  write("active", null);
  vi.useRealTimers();
});

test.each(["pointermove", "wheel", "touchmove", "keydown", "pointerdown"])("whoever does nothing but %s for an hour is online all the time", async (kind) => {
  const tab = new Tab();
  for (let minute = 0; minute < 60; minute++) {
    await wait(MINUTE);
    tab.does(kind);
  }
  expect(new Set(tab.told)).toEqual(new Set(["online"]));
  // Often enough for the node, which takes for away whom it hasn't heard of for five minutes.
  expect(tab.told.length).toBeGreaterThanOrEqual(60);
});

test("it's told once a minute at most, however much is done", async () => {
  const tab = new Tab();
  tab.clear();
  for (let n = 0; n < 600; n++) {
    await wait(500);
    tab.does("pointermove");
  }
  expect(tab.told.length).toBeLessThanOrEqual((600 * 500) / TELL_EVERY_MS);
});

test("who does nothing for five minutes is away, once, and online with the first thing they do", async () => {
  const tab = new Tab();
  tab.clear();
  await wait(AWAY_MS - 1);
  expect(tab.told).toEqual([]);
  await wait(1);
  expect(tab.told).toEqual(["away"]);
  await wait(60 * MINUTE);
  expect(tab.told).toEqual(["away"]);
  tab.does("wheel");
  expect(tab.told).toEqual(["away", "online"]);
});

test("a page that moves under a mouse that lies still doesn't make anybody present", async () => {
  const tab = new Tab();
  tab.does("pointermove");
  await wait(2 * MINUTE);
  tab.clear();
  for (let n = 0; n < 10; n++) {
    await wait(30_000);
    tab.slides();
  }
  expect(tab.told).toEqual(["away"]);
});

test("a tab that lies idle says nothing while another one is in use, and one says it when none is", async () => {
  const idle = new Tab();
  const used = new Tab();
  idle.clear();
  for (let minute = 0; minute < 20; minute++) {
    await wait(MINUTE);
    used.does("keydown");
  }
  expect(idle.told).toEqual([]);
  expect(used.told).not.toContain("away");
  await wait(AWAY_MS + MINUTE);
  expect([...idle.told, ...used.told]).toContain("away");
});

test("a node that is back is told how it is now, and not that somebody came", async () => {
  const tab = new Tab();
  await wait(AWAY_MS + 1);
  tab.watch.setOpen(false);
  tab.clear();
  await wait(60 * MINUTE);
  tab.watch.setOpen(true);
  expect(tab.told).toEqual(["away"]);
  tab.does("keydown");
  tab.watch.setOpen(false);
  tab.clear();
  await wait(MINUTE);
  tab.watch.setOpen(true);
  expect(tab.told).toEqual(["online"]);
});

test("what the page sends by itself while nobody is there makes nobody present", async () => {
  const tab = new Tab();
  tab.watch.acted();
  expect(tab.told).toEqual(["online"]);
  await wait(AWAY_MS + 1);
  // Something that waited for the node goes out, and the node takes that for a person.
  tab.watch.acted();
  expect(tab.told).toEqual(["online", "away", "away"]);
  tab.does("keydown");
  tab.watch.acted();
  expect(tab.told).toEqual(["online", "away", "away", "online"]);
});

test("nothing is told while nobody listens, and what wasn't heard is said again", async () => {
  const said: OwnPresence[] = [];
  let fails = true;
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" as const });
  const watch = watchPresence((state) => {
    said.push(state);
    return fails ? Promise.reject(new Error("no")) : Promise.resolve();
  }, page as unknown as Document);
  page.dispatchEvent(new Event("keydown"));
  expect(said).toEqual([]);
  watch.setOpen(true);
  await wait(0);
  fails = false;
  page.dispatchEvent(new Event("keydown"));
  await wait(0);
  page.dispatchEvent(new Event("keydown"));
  expect(said).toEqual(["online", "online"]);
  watch.stop();
});
