/** Up to where somebody has read: told at once, and while messages keep coming once a second. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api } from "../../src/api/client.ts";
import { flushSeen, isBeingTold, leaveSeen, markSeen, PAUSE_MS } from "../../src/chat/seen.ts";

let told: string[] = [];
let isAway = false;
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  isAway = false;
  vi.spyOn(api, "markRead").mockImplementation((_space, channel, upto) => {
    told.push(`${channel} ${upto}`);
    return isAway ? Promise.reject(new Error("no answer")) : Promise.resolve();
  });
});
afterEach(() => {
  leaveSeen("s", "c");
  leaveSeen("s", "other");
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("fifty messages in ten seconds make a mark a second, the first at once, and the last is told", async () => {
  for (let n = 0; n < 50; n++) {
    markSeen("s", "c", `m${n}`);
    await wait(0);
    if (n === 0) expect(told).toEqual(["c m0"]);
    await wait(200);
  }
  await wait(PAUSE_MS);
  expect(told.length).toBeGreaterThan(5);
  expect(told.length).toBeLessThanOrEqual(12);
  expect(told.at(-1)).toBe("c m49");
  await wait(60_000);
  expect(told.at(-1), "and no more than once").toBe("c m49");
  expect(new Set(told).size).toBe(told.length);
});

test("what is pending is told when the channel is left or the page hidden, and then isn't told again", async () => {
  markSeen("s", "c", "m0");
  await wait(0);
  markSeen("s", "c", "m1");
  expect(isBeingTold("s", "c", "m1")).toBe(true);
  expect(told).toEqual(["c m0"]);
  flushSeen("s", "c");
  expect(told).toEqual(["c m0", "c m1"]);
  expect(isBeingTold("s", "c", "m1")).toBe(false);
  await wait(0);
  markSeen("s", "c", "m2");
  leaveSeen("s", "c");
  await wait(PAUSE_MS);
  expect(told).toEqual(["c m0", "c m1", "c m2"]);
});

test("channels don't wait for each other, and one that is opened again is told anew", async () => {
  markSeen("s", "c", "m0");
  markSeen("s", "other", "m7");
  await wait(0);
  expect(told).toEqual(["c m0", "other m7"]);
  markSeen("s", "c", "m0");
  leaveSeen("s", "c");
  markSeen("s", "c", "m0");
  await wait(0);
  expect(told).toEqual(["c m0", "other m7", "c m0"]);
});

test("what the node didn't hear is told when somebody looks again", async () => {
  isAway = true;
  markSeen("s", "c", "m0");
  await wait(0);
  isAway = false;
  markSeen("s", "c", "m0");
  await wait(PAUSE_MS);
  expect(told).toEqual(["c m0", "c m0"]);
});
