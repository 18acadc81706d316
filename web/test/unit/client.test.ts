import { describe, expect, test, vi } from "vitest";
import { ApiError, EventLink, FIRST_WAIT_MS, LAST_WAIT_MS, lines, parseEvent, path, problemOf, waitBefore, withQuery, type LinkState, type NodeEvent } from "@covey/client";

describe("requests", () => {
  test("a name with any character stays one part of the path", () => {
    expect(path("spaces", "a/../b?c#d", "members")).toBe("/api/v1/spaces/a%2F..%2Fb%3Fc%23d/members");
    expect(withQuery("/x", { a: "1&b=2", none: undefined, empty: "" })).toBe("/x?a=1%26b%3D2");
  });

  test("a problem document becomes an error with its sentence, and anything else too", async () => {
    const told = await problemOf(new Response('{"type":"/problems/not-allowed","title":"t","status":403,"detail":"you may not"}', { status: 403 }));
    expect([told.message, told.problem, told.status]).toEqual(["you may not", "not-allowed", 403]);
    expect((await problemOf(new Response("<html>", { status: 502 }))).message).toBe("The node answered 502");
    expect(told).toBeInstanceOf(ApiError);
  });

  test("lines are read whatever the pieces they come in", async () => {
    const bytes = new TextEncoder().encode('{"a":"\u00e4"}\n{"a":2}\n\n{"a":3}');
    const pieces = [...bytes].map((byte) => new Uint8Array([byte]));
    const body = new ReadableStream({ start: (to) => { for (const piece of pieces) to.enqueue(piece); to.close(); } });
    const found: unknown[] = [];
    for await (const line of lines(new Response(body))) found.push(line);
    expect(found).toEqual([{ a: "\u00e4" }, { a: 2 }, { a: 3 }]);
  });
});

class FakeSocket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  constructor(readonly url: string) {}
  open() { this.readyState = 1; this.onopen?.(); }
  say(event: object) { this.onmessage?.({ data: JSON.stringify(event) }); }
  close() { this.readyState = 3; this.onclose?.(); }
}

function linked() {
  vi.useFakeTimers();
  const sockets: FakeSocket[] = [];
  const events: NodeEvent[] = [];
  const states: LinkState[] = [];
  const link = new EventLink({
    url: () => "ws://node/events",
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
    open: (url) => {
      const socket = new FakeSocket(url);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
  });
  link.start();
  const last = () => sockets.at(-1) as FakeSocket;
  return { link, sockets, events, states, last };
}

describe("the line to the node", () => {
  test("it waits a second, then longer, and never for ever", () => {
    expect(waitBefore(0, 1)).toBe(FIRST_WAIT_MS);
    expect(waitBefore(1, 1)).toBe(2000);
    expect(waitBefore(50, 1)).toBe(LAST_WAIT_MS);
    expect(waitBefore(3, 0)).toBeLessThan(waitBefore(3, 1));
  });

  test("after a break it goes on behind what it saw", () => {
    const { sockets, last, states } = linked();
    last().open();
    last().say({ position: 41, event: "peer_connected", peer_id: "p" });
    last().close();
    expect(states.at(-1)).toBe("waiting");
    vi.advanceTimersByTime(FIRST_WAIT_MS);
    expect(sockets).toHaveLength(2);
    expect(last().url).toBe("ws://node/events?since=41");
    last().say({ event: "typing", user: "u" });
    last().close();
    vi.advanceTimersByTime(2000);
    expect(last().url).toBe("ws://node/events?since=41");
  });

  test("without a number from before it asks for everything anew once it's back", () => {
    const { events, last } = linked();
    last().open();
    last().close();
    vi.advanceTimersByTime(FIRST_WAIT_MS);
    last().open();
    expect(events.map((event) => event.event)).toEqual(["reset"]);
  });

  test("a stopped line stays down, and a second try at once doesn't make two", () => {
    const { link, sockets, last } = linked();
    last().open();
    link.retryNow();
    expect(sockets).toHaveLength(1);
    link.stop();
    vi.advanceTimersByTime(100_000);
    expect(sockets).toHaveLength(1);
  });

  test("what isn't an event is passed over", () => {
    expect(parseEvent("nonsense")).toBeNull();
    expect(parseEvent('{"position":1}')).toBeNull();
    expect(parseEvent('{"type":"message","position":2}')?.event).toBe("message");
  });
});
