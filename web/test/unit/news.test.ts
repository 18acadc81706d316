/** Which answers are new to whoever opens a channel. */
import type { Message } from "@covey/client";
import { expect, test } from "vitest";
import { newAnswers, openingOf } from "../../src/chat/news.ts";

const message = (n: number, reply_to: number | null = null, author = "bob"): Message => ({
  id: `m${n}`, channel: "c", author, author_name: author, device: "d", text: `${n}`, at: "2026-11-21T09:00:00Z", edited: false, deleted: false,
  reply_to: reply_to === null ? null : `m${reply_to}`, thread: null, mentions: [], reactions: {}, state: "sent", delivered_to: [], read_by: [], position: String(n),
});
const opened = (items: Message[], unread: number, since: number | null, hasOlder = false) =>
  openingOf(items, { unread, new_since: since === null ? null : `m${since}`, newest: items.at(-1)?.position ?? "" }, { hasOlder, atPresent: true }, "ada");
const found = (items: Message[], opening: ReturnType<typeof openingOf>, seen = {}) => Object.fromEntries(newAnswers(items, opening, seen, "ada"));

const ITEMS = [message(1), message(2, 1), message(3, 1), message(4), message(5, 4), message(6, 4, "ada")];

test("those that were unread, and none of one's own", () => {
  expect(found(ITEMS, opened(ITEMS, 3, 3))).toEqual({ m1: 1, m4: 1 });
  expect(found(ITEMS, opened(ITEMS, 0, null))).toEqual({});
});

test("those that come while it's open", () => {
  const opening = opened(ITEMS, 0, null);
  expect(found([...ITEMS, message(7, 1), message(8, 1, "ada"), message(9)], opening)).toEqual({ m1: 1 });
});

test("none that were looked at in their thread since", () => {
  const opening = opened(ITEMS, 3, 3);
  expect(found(ITEMS, opening, { m1: "3" })).toEqual({ m4: 1 });
  expect(found([...ITEMS, message(7, 1)], opening, { m1: "3" })).toEqual({ m1: 1, m4: 1 });
});

test("of one that came late, between others that were read, itself alone", () => {
  expect(found(ITEMS, opened(ITEMS, 1, 2))).toEqual({ m1: 1 });
});

test("all that are loaded, where what was unread begins further up, and no more than those when it's loaded", () => {
  const opening = opened(ITEMS.slice(3), 3, 3, true);
  expect(found(ITEMS.slice(3), opening)).toEqual({ m4: 1 });
  expect(found(ITEMS, opening)).toEqual({ m1: 1, m4: 1 });
});

test("none of those that are come by on the way from an old message to the newest, but what was unread and what comes", () => {
  const before = { unread: 1, new_since: "m5", newest: "6" };
  const opening = openingOf(ITEMS.slice(0, 1), before, { hasOlder: true, atPresent: false }, "ada");
  expect(found(ITEMS, opening)).toEqual({ m4: 1 });
  expect(found([...ITEMS, message(7, 1)], opening)).toEqual({ m1: 1, m4: 1 });
});
