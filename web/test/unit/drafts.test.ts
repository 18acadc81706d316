/** What is being written: kept here at once, known to the node soon, and gone from both when it was sent. */
import type { Channel } from "@covey/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api, queries } from "../../src/api/client.ts";
import { keys } from "../../src/api/keys.ts";
import { appended, flushDraft, keepDraft, PAUSE_MS } from "../../src/chat/drafts.ts";
import { read, write } from "../../src/lib/store.ts";

let saved: string[] = [];
let isAway = false;
const kept = () => read("draft.s.c");
const known = () => queries.getQueryData<Channel[]>(keys.channels("s"))?.[0]?.draft;

beforeEach(() => {
  vi.useFakeTimers();
  saved = [];
  isAway = false;
  queries.setQueryData(keys.channels("s"), [{ id: "c", draft: "old" }] as Channel[]);
  vi.spyOn(api, "saveDraft").mockImplementation((_space, _channel, text) => {
    if (isAway) return Promise.reject(new Error("no answer"));
    saved.push(text);
    return Promise.resolve();
  });
});
afterEach(() => {
  write("draft.s.c", null);
  write("draft.s.c.root", null);
  queries.clear();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("the node hears of it after a pause, of the newest alone", async () => {
  keepDraft("s", "c", null, "h");
  keepDraft("s", "c", null, "hello");
  expect(kept()).toBe("hello");
  await vi.advanceTimersByTimeAsync(PAUSE_MS - 1);
  expect(saved).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(saved).toEqual(["hello"]);
  expect(known()).toBe("hello");
});

test("what was sent is told at once, behind what is still on its way", async () => {
  keepDraft("s", "c", null, "hello");
  await vi.advanceTimersByTimeAsync(PAUSE_MS);
  keepDraft("s", "c", null, "");
  await vi.advanceTimersByTimeAsync(0);
  expect(saved).toEqual(["hello", ""]);
  // Nothing stays here that would hide what is written in another browser.
  expect(kept()).toBeNull();
  expect(known()).toBe("");
});

test("who goes elsewhere within the pause loses nothing", async () => {
  keepDraft("s", "c", null, "half a thou");
  flushDraft("s", "c");
  await vi.advanceTimersByTimeAsync(0);
  expect(saved).toEqual(["half a thou"]);
  await vi.advanceTimersByTimeAsync(10 * PAUSE_MS);
  expect(saved).toHaveLength(1);
});

test("that there is nothing is remembered until the node knows it", async () => {
  isAway = true;
  keepDraft("s", "c", null, "");
  await vi.advanceTimersByTimeAsync(10 * PAUSE_MS);
  expect(kept(), "or the node's own draft, which was sent, would come back").toBe("");
  isAway = false;
  keepDraft("s", "c", null, "");
  await vi.advanceTimersByTimeAsync(0);
  expect(kept()).toBeNull();
});

test("an answer in a thread is this browser's alone, and leaves nothing behind", async () => {
  keepDraft("s", "c", "root", "an answer");
  await vi.advanceTimersByTimeAsync(10 * PAUSE_MS);
  expect(saved).toEqual([]);
  expect(read("draft.s.c.root")).toBe("an answer");
  keepDraft("s", "c", "root", "");
  expect(read("draft.s.c.root")).toBeNull();
});

test("what is taken back goes behind what is written", () => {
  expect(appended("", "back")).toBe("back");
  expect(appended("half a thou", "back")).toBe("half a thou\nback");
});
