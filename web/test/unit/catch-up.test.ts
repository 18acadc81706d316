/** What the node tells of a channel alone: very many messages at once, one that was taken back, how far they got. */
import type { Message, MessagePage } from "@covey/client";
import { InfiniteQueryObserver, type InfiniteData } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api, queries } from "../../src/api/client.ts";
import { keys } from "../../src/api/keys.ts";
import { catchUp, lookAt } from "../../src/chat/catch-up.ts";
import { keepMessage, withMessage, type Cursor } from "../../src/chat/queries.ts";

const place = (n: number) => String(n).padStart(6, "0");
const message = (n: number, more: Partial<Message> = {}): Message => ({
  id: `m${n}`, channel: "c", author: "u", author_name: "U", device: "d", text: `${n}`, at: "2026-03-01T09:00:00Z", edited: false, deleted: false, reply_to: null,
  thread: null, mentions: [], reactions: {}, state: "sent", delivered_to: [], read_by: [], position: place(n), ...more,
});

/** What the node has, by number. */
let stored: Message[] = [];
let asked: Cursor[] = [];
/** Answers wait for this. */
let gate: Promise<void> = Promise.resolve();

function page({ before, after, around, limit = 60 }: Cursor): MessagePage {
  const sorted = [...stored].sort((a, b) => (a.position < b.position ? -1 : 1));
  const until = before ? sorted.findIndex((one) => one.position >= before) : sorted.length;
  const middle = around ? sorted.findIndex((one) => one.id === around) : -1;
  const start = after ? sorted.findIndex((one) => one.position > after) : around ? Math.max(0, middle - limit / 2) : Math.max(0, until - limit);
  const from = start < 0 ? sorted.length : start;
  const to = after || around ? from + limit : until;
  const items = sorted.slice(from, to);
  return { items, before: from > 0 ? (items[0]?.position ?? null) : null, after: to < sorted.length ? (items.at(-1)?.position ?? null) : null };
}

const KEY = [...keys.messages("s", "c"), "newest"];
const data = (key: readonly unknown[] = KEY) => queries.getQueryData<InfiniteData<MessagePage, Cursor>>(key);
const shown = (key?: readonly unknown[]) => data(key)?.pages.flatMap((one) => one.items.map((item) => Number(item.text))) ?? [];
const row = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n);

function open(key: readonly unknown[] = KEY, initial: Cursor = {}) {
  const observer = new InfiniteQueryObserver(queries, {
    queryKey: key,
    initialPageParam: initial,
    queryFn: ({ pageParam }: { pageParam: Cursor }) => api.messages("s", "c", pageParam),
    getPreviousPageParam: (one: MessagePage) => (one.before ? { before: one.before } : null),
    getNextPageParam: (one: MessagePage) => (one.after ? { after: one.after } : null),
  });
  const close = observer.subscribe(() => undefined);
  return { observer, close };
}

beforeEach(() => {
  vi.useFakeTimers();
  stored = row(100, 200).map((n) => message(n));
  asked = [];
  gate = Promise.resolve();
  vi.spyOn(api, "messages").mockImplementation(async (_space, _channel, cursor) => {
    asked.push(cursor as Cursor);
    const answer = page(cursor as Cursor);
    await gate;
    return answer;
  });
});
afterEach(() => {
  queries.clear();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const settle = () => vi.advanceTimersByTimeAsync(2000);

test("a hundred messages that nobody told of one by one are there, whatever the list holds", async () => {
  const { close } = open();
  await settle();
  expect(shown()).toEqual(row(140, 200));
  asked = [];
  stored.push(...row(200, 300).map((n) => message(n)));
  for (let n = 0; n < 20; n++) catchUp("s", "c");
  await settle();
  expect(shown()).toEqual(row(0, 300).slice(-shown().length));
  expect(shown().length).toBeGreaterThanOrEqual(160);
  expect(asked.length, "twenty events, and what is shown stays in reach").toBe(2);
  close();
});

test("those that came late take their places between others", async () => {
  stored = row(100, 200).filter((n) => n < 150 || n >= 190).map((n) => message(n));
  const { close } = open();
  await settle();
  stored.push(...row(150, 190).map((n) => message(n)));
  catchUp("s", "c");
  await settle();
  expect(shown()).toEqual(row(100, 200));
  close();
});

test("one that was taken back is gone", async () => {
  const { close } = open();
  await settle();
  stored = stored.filter((one) => one.id !== "m170");
  catchUp("s", "c");
  await settle();
  expect(shown()).not.toContain(170);
  expect(shown()).toContain(171);
  close();
});

test("of a long list only the newest are asked for, in one request, and the others stay", async () => {
  stored = row(0, 1000).map((n) => message(n));
  const { observer, close } = open();
  await settle();
  for (let n = 0; n < 9; n++) {
    void observer.fetchPreviousPage();
    await settle();
  }
  expect(shown()).toEqual(row(400, 1000));
  asked = [];
  stored.push(message(1000));
  stored = stored.filter((one) => one.id !== "m990");
  catchUp("s", "c");
  await settle();
  expect(asked).toEqual([{ limit: 300 }]);
  expect(shown()).toEqual([...row(400, 990), ...row(991, 1001)]);
  close();
});

/** A list of 600, of which the newest 300 are read again together. */
async function long() {
  stored = row(0, 1000).map((n) => message(n));
  const list = open();
  await settle();
  for (let n = 0; n < 9; n++) {
    void list.observer.fetchPreviousPage();
    await settle();
  }
  return list;
}
const edit = (n: number) => (stored = stored.map((one) => (one.id === `m${n}` ? message(n, { text: `-${n}` }) : one)));
const see = (from: number, to: number, key = KEY) => lookAt(key, place(from), place(to));

test("what lies further up is read again when it comes in sight, once, and only there", async () => {
  const { close } = await long();
  edit(450);
  stored = stored.filter((one) => one.id !== "m455" && one.id !== "m525");
  catchUp("s", "c");
  await settle();
  expect(shown()).toContain(450);
  asked = [];
  see(430, 460);
  await settle();
  expect(asked).toEqual([{ before: place(511), limit: 120 }]);
  expect(shown()).toEqual([...row(390, 450), -450, ...row(451, 455), ...row(456, 1000)]);
  see(420, 500);
  see(800, 830);
  await settle();
  expect(asked.length, "all of this is as the node has it").toBe(1);
  see(500, 520);
  await settle();
  expect(asked.slice(1)).toEqual([{ before: place(571), limit: 120 }]);
  expect(shown()).not.toContain(525);
  close();
});

test("what is in sight is read again at once, however far up that is", async () => {
  const { close } = await long();
  see(430, 460);
  await settle();
  asked = [];
  edit(450);
  catchUp("s", "c");
  await settle();
  expect(asked).toEqual([{ limit: 300 }, { before: place(511), limit: 120 }]);
  expect(shown()).toContain(-450);
  close();
});

test("more than one request can bring is read in several, one after the other", async () => {
  const { close } = await long();
  for (const n of [410, 690]) edit(n);
  catchUp("s", "c");
  await settle();
  asked = [];
  see(405, 695);
  await settle();
  expect(asked).toEqual([700, 580, 460].map((n) => ({ before: place(n), limit: 120 })));
  expect(shown()).toEqual(row(340, 1000).map((n) => (n === 410 || n === 690 ? -n : n)));
  close();
});

test("whoever scrolls on before the answer is there gets what is in sight then", async () => {
  const { close } = await long();
  for (const n of [450, 650]) edit(n);
  catchUp("s", "c");
  await settle();
  asked = [];
  let give = () => undefined as void;
  gate = new Promise((resolve) => (give = resolve));
  see(440, 460);
  await settle();
  for (let n = 0; n < 20; n++) see(500 + n * 7, 520 + n * 7);
  see(640, 660);
  await settle();
  expect(asked.length).toBe(1);
  keepMessage("s", message(455, { text: "-455" }));
  give();
  await settle();
  expect(asked.slice(1)).toEqual([{ before: place(700), limit: 120 }]);
  for (const n of [-450, -455, -650]) expect(shown()).toContain(n);
  close();
});

test("the end of a list around an old message is read again too", async () => {
  stored = row(0, 1000).map((n) => message(n));
  const key = [...keys.messages("s", "c"), "around m500"];
  const { observer, close } = open(key, { around: "m500" });
  await settle();
  for (let n = 0; n < 7; n++) {
    void observer.fetchNextPage();
    await settle();
  }
  edit(949);
  catchUp("s", "c");
  await settle();
  asked = [];
  see(940, 949, key);
  await settle();
  expect(asked).toEqual([{ before: `${place(949)}0`, limit: 120 }]);
  expect(shown(key).slice(-3)).toEqual([947, 948, -949]);
  close();
});

test("what is in sight is right though older messages were on their way", async () => {
  const { observer, close } = await long();
  edit(450);
  catchUp("s", "c");
  await settle();
  asked = [];
  let give = () => undefined as void;
  gate = new Promise((resolve) => (give = resolve));
  void observer.fetchPreviousPage();
  see(440, 460);
  await settle();
  expect(asked).toEqual([{ before: place(400) }]);
  give();
  await settle();
  expect(asked.slice(1)).toEqual([{ before: place(511), limit: 120 }]);
  expect(shown()).toEqual(row(340, 1000).map((n) => (n === 450 ? -n : n)));
  close();
});

test("nothing is stale in a list that was fetched as a whole since", async () => {
  const { close } = await long();
  catchUp("s", "c");
  await settle();
  void queries.invalidateQueries();
  await settle();
  asked = [];
  see(430, 460);
  await settle();
  expect(asked).toEqual([]);
  close();
});

test("a node that refuses is not asked again and again", async () => {
  const { close } = await long();
  catchUp("s", "c");
  await settle();
  asked = [];
  gate = Promise.reject(new Error("busy"));
  gate.catch(() => undefined);
  see(440, 460);
  await settle();
  expect(asked.length).toBe(1);
  gate = Promise.resolve();
  see(441, 461);
  await settle();
  expect(asked.length).toBe(2);
  close();
});

test("a message that is told of while the list is read again stays in it", async () => {
  const { close } = open();
  await settle();
  let give = () => undefined as void;
  gate = new Promise((resolve) => (give = resolve));
  catchUp("s", "c");
  await vi.advanceTimersByTimeAsync(300);
  keepMessage("s", message(200));
  keepMessage("s", message(150, { text: "-150" }));
  give();
  await settle();
  expect(shown().slice(-2)).toEqual([199, 200]);
  expect(shown()).toContain(-150);
  close();
});

test("a page that is fetched at that moment is neither lost nor overtaken", async () => {
  const { observer, close } = open();
  await settle();
  let give = () => undefined as void;
  gate = new Promise((resolve) => (give = resolve));
  void observer.fetchPreviousPage();
  stored = stored.filter((one) => one.id !== "m170");
  catchUp("s", "c");
  await vi.advanceTimersByTimeAsync(1000);
  give();
  await settle();
  expect(shown()).toEqual(row(100, 200).filter((n) => n !== 170));
  close();
});

test("a list around an old message is read again where it is", async () => {
  stored = row(0, 1000).map((n) => message(n));
  const key = [...keys.messages("s", "c"), "around m500"];
  const { close } = open(key, { around: "m500" });
  await settle();
  stored = stored.filter((one) => one.id !== "m505");
  stored.push(message(1000));
  asked = [];
  catchUp("s", "c");
  await settle();
  expect(asked).toEqual([{ around: "m500", limit: 60 }]);
  expect(shown(key)).not.toContain(505);
  expect(shown(key)).not.toContain(1000);
  expect(data(key)?.pages.at(-1)?.after).not.toBeNull();
  close();
});

test("a list that nobody looks at is read when it is opened again", async () => {
  const { close } = open();
  await settle();
  close();
  asked = [];
  stored.push(message(200));
  catchUp("s", "c");
  await settle();
  expect(asked).toEqual([]);
  const again = open();
  await settle();
  expect(shown()).toContain(200);
  again.close();
});

test("a single late message stands where its time says, and not where it would leave a gap", () => {
  const list = (before: string | null, after: string | null) => ({
    pages: [{ items: [message(10), message(20)], before, after: place(20) }, { items: [message(30), message(40)], before: place(30), after }],
    pageParams: [{}, {}],
  });
  const with_ = (n: number, before: string | null = "x", after: string | null = null) => withMessage(list(before, after), message(n), true).pages.flatMap((one) => one.items.map((item) => Number(item.text)));
  expect(with_(15)).toEqual([10, 15, 20, 30, 40]);
  expect(with_(25)).toEqual([10, 20, 25, 30, 40]);
  expect(with_(45)).toEqual([10, 20, 30, 40, 45]);
  expect(with_(45, "x", "more"), "there is more between").toEqual([10, 20, 30, 40]);
  expect(with_(35, "x", "more")).toEqual([10, 20, 30, 35, 40]);
  expect(with_(5), "it comes with its page").toEqual([10, 20, 30, 40]);
  expect(with_(5, null)).toEqual([5, 10, 20, 30, 40]);
});
