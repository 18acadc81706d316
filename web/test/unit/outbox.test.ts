/** Sending to a node that answers and doesn't take it, while the line to it stays open. */
import { ApiError, type Message } from "@covey/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api } from "../../src/api/client.ts";
import { parseOutbox, post, tryAgain } from "../../src/chat/outbox.ts";
import { read, write } from "../../src/lib/store.ts";

const waiting = () => parseOutbox(read("outbox.s.c"));
let failures: ApiError[] = [];
let sent: string[] = [];

/** As a browser's: one after the other. */
function locks(): { request: (name: string, work: () => Promise<void>) => Promise<void> } {
  let last = Promise.resolve();
  return { request: (_name, work) => (last = last.then(work)) };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("navigator", { locks: locks() });
  failures = [];
  sent = [];
  vi.spyOn(api, "sendMessage").mockImplementation((_space, channel, { text }) => {
    const failure = failures.shift();
    if (failure) return Promise.reject(failure);
    sent.push(text);
    return Promise.resolve({ id: text, channel, reply_to: null } as Message);
  });
});
afterEach(() => {
  write("outbox.s.c", null);
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test.each([429, 500, 503, 507])("after a %i it's tried again by itself, ever more rarely, with the reason in sight", async (status) => {
  failures = Array.from({ length: 4 }, () => new ApiError(status, "x", "the disk is full"));
  post("s", "c", "hello", null);
  await vi.advanceTimersByTimeAsync(0);
  expect(waiting()).toMatchObject([{ text: "hello", waiting: "the disk is full" }]);
  expect(waiting()[0]?.refused).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1000);
  expect(failures).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(2000);
  expect(failures).toHaveLength(1);
  expect(sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(sent).toEqual(["hello"]);
  expect(waiting()).toEqual([]);
});

test("what waits goes out in its order, and at once if somebody asks for it", async () => {
  failures = [new ApiError(503, "x", "busy")];
  post("s", "c", "one", null);
  await vi.advanceTimersByTimeAsync(0);
  failures = [new ApiError(503, "x", "busy")];
  post("s", "c", "two", null);
  await vi.advanceTimersByTimeAsync(0);
  expect(sent).toEqual([]);
  const first = waiting()[0]?.client_id ?? "";
  tryAgain("s", "c", first);
  await vi.advanceTimersByTimeAsync(0);
  expect(sent).toEqual(["one", "two"]);
});

test("a node that doesn't answer at all is said elsewhere, and tried again too", async () => {
  failures = [new ApiError(0, "unreachable", "no answer")];
  post("s", "c", "hello", null);
  await vi.advanceTimersByTimeAsync(0);
  expect(waiting()[0]?.waiting).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1000);
  expect(sent).toEqual(["hello"]);
});

test("what the node refuses isn't tried again, and what comes behind it goes on", async () => {
  failures = [new ApiError(403, "not-allowed", "guests read only")];
  post("s", "c", "one", null);
  post("s", "c", "two", null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toEqual(["two"]);
  expect(waiting()).toMatchObject([{ text: "one", refused: "guests read only" }]);
});

test("a browser that is signed out keeps what it was sending", async () => {
  failures = [new ApiError(401, "unauthorized", "sign in")];
  post("s", "c", "hello", null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(waiting()).toMatchObject([{ text: "hello" }]);
  expect(waiting()[0]?.refused).toBeUndefined();
});
