import type { Peer, Space, Status } from "@covey/client";
import { describe, expect, test } from "vitest";
import { healthOf } from "../../src/api/health.ts";
import { changedFields, columnsOf, parseDocument } from "../../src/data/columns.ts";
import { csvToLines, toCsv } from "../../src/lib/csv.ts";
import { ago, bytes, count, countdown, names, sentence, unturned } from "../../src/lib/format.ts";
import { best } from "../../src/lib/fuzzy.ts";
import { colourOf, COLOURS, glyphOf, initialOf, markOf } from "../../src/lib/identity.ts";
import { kindOfCode, tidyCode } from "../../src/lib/join-code.ts";
import { distance, layout } from "../../src/network/layout.ts";
import { standingWith } from "../../src/network/why.ts";
import { EXAMPLES } from "../fixtures/csv.ts";

describe("words and numbers", () => {
  test("a name in a sentence turns nothing round, and stays what it is otherwise", () => {
    expect(unturned("Remove \u202eboB\u202c from \u2067garden\u2069?")).toBe("Remove boB from garden?");
    expect(unturned("\u05d3\u05e0\u05d4 \u{1F468}\u200d\u{1F469}")).toBe("\u05d3\u05e0\u05d4 \u{1F468}\u200d\u{1F469}");
  });

  test("times and amounts read like a sentence", () => {
    const now = Date.parse("2026-11-21T12:00:00Z");
    expect(ago("2026-11-21T11:57:00Z", now)).toBe("3 minutes ago");
    expect(ago("2026-11-21T11:59:58Z", now)).toBe("just now");
    expect(ago("nonsense", now)).toBe("at an unknown time");
    expect([count(1, "reply", "replies"), count(2000, "record")]).toEqual(["1 reply", "2,000 records"]);
    expect([bytes(1), bytes(1536), bytes(5 << 20)]).toEqual(["1 byte", "1.5 KiB", "5.0 MiB"]);
    expect([countdown(900), countdown(61.2), countdown(-3)]).toEqual(["15:00", "1:02", "0:00"]);
    expect(names(["a"])).toBe("a");
    expect(names(["a", "b", "c", "d"])).toBe("a, b and 2 others");
    expect(sentence("it waits")).toBe("It waits.");
  });

  test("people look different, and the same again", () => {
    expect(markOf("a")).toMatch(/^[A-Z][a-z]$/);
    expect(markOf("5QUpxH3C")).toBe(markOf("5QUpxH3C"));
    // Colour and mark are independent: of the pairs among 400 ids about one in 768 shares both, which makes 104.
    const looks = Array.from({ length: 400 }, (_, n) => `id ${(n * 2654435761) % 4294967296}`).map((id) => `${colourOf(id)} ${markOf(id)}`);
    const shared = looks.flatMap((look, at) => looks.slice(at + 1).filter((other) => other === look));
    expect(shared.length).toBeLessThan(200);
    expect(new Set(Array.from({ length: 200 }, (_, n) => colourOf(`user ${n}`))).size).toBe(COLOURS);
    expect([glyphOf("Bob's phone"), glyphOf("nas-1"), glyphOf("x")]).toEqual(["phone", "server", "laptop"]);
    expect([initialOf("garden"), initialOf("\u{1F331} plot"), initialOf("")]).toEqual(["G", "\u{1F331}", "?"]);
  });

  test("a code is known however it was pasted", () => {
    expect(tidyCode(" covey jwfy r3kb ")).toBe("COVEY-JWFY-R3KB");
    expect(kindOfCode("Come in: covey://join/abc thanks")).toBe("space-link");
    expect(tidyCode("Come in: covey://join/aBc thanks")).toBe("covey://join/aBc");
    expect(kindOfCode("covey://device/abc")).toBe("device-link");
    expect(kindOfCode("")).toBe("none");
  });

  test("a few letters find what is meant", () => {
    expect(best("netw", ["Settings", "Network", "New channel"], (one) => one)[0]).toBe("Network");
    expect(best("nc", ["Network", "New channel"], (one) => one)).toEqual(["New channel"]);
  });
});

describe("data", () => {
  test.each(EXAMPLES)("CSV: $what", ({ csv, lines, wrong_row }) => {
    if (wrong_row === undefined) expect(csvToLines(csv)).toBe(lines);
    else expect(() => csvToLines(csv)).toThrow(new RegExp(`^Row ${wrong_row} has `));
  });

  test("a CSV file that can't be read is refused, and not in part", () => {
    expect(() => csvToLines('a\n"never closed')).toThrow("row 2 is never closed");
    expect(() => csvToLines("a,a\n1,2")).toThrow("same name");
    expect(() => csvToLines("")).toThrow("empty");
  });

  test("what is exported runs as no formula, and comes back", () => {
    expect(toCsv([{ id: "1", doc: { a: "=1+1", b: -5, c: 'say "hi"' } }])).toBe('id,a,b,c\r\n1,\'=1+1,-5,"say ""hi"""\r\n');
  });

  test("only what was changed is written", () => {
    expect(changedFields({ a: 1, b: [2], c: 3 }, { a: 1, b: [2, 3] })).toEqual({ changed: { b: [2, 3] }, left: ["c"] });
    expect(parseDocument("[1]")).toHaveProperty("wrong");
    expect(parseDocument('{"a":1}')).toEqual({ doc: { a: 1 } });
    expect(columnsOf([{ id: "1", doc: { rare: 1, often: 1 } }, { id: "2", doc: { often: 2 } }])).toEqual(["often", "rare"]);
  });
});

const peer = (more: Partial<Peer> = {}): Peer => ({ peer_id: "p", name: "phone", user: "Bob", state: "connected", path: "direct", transport: "quic", rtt_ms: 2, address: null, ...more });
const space = (sync: Partial<Space["sync"][number]>[] = [], more: Partial<Space> = {}): Space => ({
  id: "s", name: "garden", role: "owner", members: 2, entries: 1, records: 1, pending: 0, removed: null,
  sync: sync.map((one) => ({ peer_id: "p", state: "in_sync", missing_here: 0, missing_there: 0, reason: null, ...one })), ...more,
});
const status = (more: Partial<Status> = {}): Status => ({
  node: { user: "Ada", device: "laptop", peer_id: "me", fingerprint: "", words: [], user_id: "u", version: "0", uptime_s: 1 },
  network: { mode: "lan", listen: [] }, peers: [], spaces: [], devices: [], revoked: false, clocks: [], ...more,
});
const open = { state: "open", retryAt: null, wasOpen: true } as const;

describe("the network in words", () => {
  test("the weather has one word", () => {
    expect(healthOf(undefined, { ...open, state: "connecting" }, false).word).toBe("starting");
    expect(healthOf(status(), open, false).word).toBe("alone");
    expect(healthOf(status({ peers: [peer()] }), open, false).word).toBe("active, 1 near");
    expect(healthOf(status({ network: { mode: "solo", listen: [] } }), open, false).word).toBe("network off");
    expect(healthOf(status({ peers: [peer()] }), open, false, space([{}])).word).toBe("in sync, 1 near");
    expect(healthOf(status({ peers: [peer()] }), open, false, space([{ state: "refused", reason: "no" }])).tone).toBe("look");
    expect(healthOf(status(), { ...open, state: "waiting" }, false).tone).toBe("bad");
  });

  test("whoever isn't in sync has a sentence", () => {
    expect(standingWith(peer(), [space([{}])]).word).toBe("in sync");
    const behind = standingWith(peer(), [space([{ state: "unreachable", missing_there: 41, reason: "phone is not reachable" }])]);
    expect(behind).toMatchObject({ tone: "calm", reasons: ["Garden: phone is not reachable; it lacks 41 changes."] });
    expect(standingWith(peer({ peer_id: "x" }), [space([{}])]).word).toBe("nothing shared");
  });

  test("the quicker a device answers, the nearer it stands", () => {
    expect(distance(peer({ rtt_ms: 1 }))).toBeLessThan(distance(peer({ rtt_ms: 50 })));
    expect(distance(peer({ rtt_ms: 400 }))).toBeLessThan(distance(peer({ state: "offline" })));
    const places = layout([peer({ peer_id: "b" }), peer({ peer_id: "a" })], 1, 0.72);
    expect(places.map((place) => place.peer.peer_id)).toEqual(["a", "b"]);
    expect(Math.hypot((places[0]?.x ?? 0) - (places[1]?.x ?? 0), (places[0]?.y ?? 0) - (places[1]?.y ?? 0))).toBeGreaterThan(80);
  });
});
