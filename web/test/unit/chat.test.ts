import type { Channel, ChannelMember, Member, Message, Space } from "@covey/client";
import { queries } from "../../src/api/client.ts";
import { describe, expect, test } from "vitest";
import { toggled } from "../../src/chat/acts.ts";
import { pieces } from "../../src/chat/highlight.ts";
import { longMark, shortMark } from "../../src/chat/marks.tsx";
import { insertAt, mentionAt } from "../../src/chat/mention.ts";
import type { News } from "../../src/chat/news.ts";
import { parseOutbox } from "../../src/chat/outbox.ts";
import { withMessage, type MessageData } from "../../src/chat/queries.ts";
import { overIn, rightsIn } from "../../src/chat/rights.ts";
import { rowsOf } from "../../src/chat/rows.ts";

const message = (id: string, more: Partial<Message> = {}): Message => ({
  id, channel: "c", author: "bob", author_name: "Bob", device: "d", text: id, at: "2026-11-21T09:00:00Z", edited: false, deleted: false, reply_to: null,
  thread: null, mentions: [], reactions: {}, state: "sent", delivered_to: [], read_by: [], position: id, ...more,
});
const NO_NEWS: News = { from: null, answers: new Map() };
const rows = (messages: Message[], from: string | null = null, answers: News["answers"] = new Map()) =>
  rowsOf({ messages, outgoing: [], me: "ada", news: { from, answers } }).map((row) => (row.kind === "message" ? `${row.key}${row.head ? "^" : ""}` : row.kind));

describe("the list of messages", () => {
  test("messages of one person close in time stand together", () => {
    const at = (minutes: number) => new Date(Date.UTC(2026, 10, 21, 9, minutes)).toISOString();
    expect(rows([message("1", { at: at(0) }), message("2", { at: at(1) }), message("3", { at: at(30) }), message("4", { at: at(31), author: "ada" })])).toEqual(["day", "1^", "2", "3^", "4^"]);
  });

  test("what comes after a message with answers begins anew", () => {
    expect(rows([message("1", { thread: { replies: 2, last_at: "2026-11-21T09:01:00Z" } }), message("2"), message("3")])).toEqual(["day", "1^", "2^", "3"]);
  });

  test("a new day has its line, and what is new too", () => {
    expect(rows([message("1"), message("2", { at: "2026-11-22T12:00:00Z" }), message("3", { at: "2026-11-22T12:01:00Z" })], "3")).toEqual(["day", "1^", "day", "2^", "new", "3^"]);
  });

  test("one's own messages aren't new", () => {
    expect(rows([message("1"), message("2", { author: "ada" }), message("3")], "2")).toEqual(["day", "1^", "2^", "new", "3^"]);
  });

  test("the line stands where the first unread message is, though that is an answer and not in the list", () => {
    expect(rows([message("1"), message("3", { author: "ada" }), message("4")], "2")).toEqual(["day", "1^", "3^", "new", "4^"]);
    expect(rows([message("1"), message("4")], "2", new Map([["1", 1]])).indexOf("new")).toBe(2);
  });

  test("new answers above the line, or where there's none, are told of where one reads on", () => {
    const last = (from: string | null, answers: News["answers"]) =>
      rowsOf({ messages: [message("1"), message("3"), message("5", { author: "ada" })], outgoing: [], me: "ada", news: { from, answers } }).find((row) => row.kind === "new");
    expect(rows([message("1"), message("3")], "4", new Map([["1", 2]]))).toEqual(["day", "1^", "3", "new"]);
    expect(last("6", new Map([["1", 2], ["0", 1]]))).toMatchObject({ answers: { answers: 3, threads: 2, root: "1" } });
    expect(last("2", new Map([["1", 2]]))).toMatchObject({ answers: { answers: 2, threads: 1, root: "1" } });
    expect(last("2", new Map([["3", 2]]))).toMatchObject({ answers: null });
    expect(last(null, new Map())).toBeUndefined();
  });

  test("what waits to be sent comes last", () => {
    const waiting = [{ client_id: "x", text: "t", reply_to: null, at: "2026-11-21T09:01:00Z" }];
    expect(rowsOf({ messages: [message("1")], outgoing: waiting, me: "ada", news: NO_NEWS }).at(-1)).toMatchObject({ kind: "outgoing", head: true });
  });

  test("what has arrived isn't shown once more as being sent", () => {
    const waiting = [{ client_id: "0a1b-2c", text: "t", reply_to: null, at: "2026-11-21T09:01:00Z" }];
    const kinds = (id: string) => rowsOf({ messages: [message(id)], outgoing: waiting, me: "ada", news: NO_NEWS }).map((row) => row.kind);
    expect(kinds("07ff.0a1b-2c")).toEqual(["day", "message"]);
    expect(kinds("07ff.0a1b-2d")).toEqual(["day", "message", "outgoing"]);
  });
});

describe("messages in the cache", () => {
  const data = (after: string | null): MessageData => ({ pages: [{ items: [message("1")], before: null, after: null }, { items: [message("2")], before: null, after }], pageParams: [{}, {}] });
  const ids = (one: MessageData) => one.pages.flatMap((page) => page.items.map((item) => item.text));

  test("a known one takes its own place, a new one the end", () => {
    expect(ids(withMessage(data(null), message("1", { text: "changed" }), true))).toEqual(["changed", "2"]);
    expect(ids(withMessage(data(null), message("3"), true))).toEqual(["1", "2", "3"]);
  });

  test("a list that doesn't reach to the present gets no new one, which would leave a gap", () => {
    expect(ids(withMessage(data("more"), message("3"), true))).toEqual(["1", "2"]);
    expect(ids(withMessage(data(null), message("3"), false))).toEqual(["1", "2"]);
  });
});

describe("small things", () => {
  test("an outbox that somebody else wrote into is no reason to fail", () => {
    for (const bad of [null, "", "{", "3", '{"a":1}', "[1,null]"]) expect(parseOutbox(bad)).toEqual([]);
    expect(parseOutbox('[{"client_id":"a","text":"b","reply_to":null,"at":"x"}]')).toHaveLength(1);
  });

  test("a mention is looked for after an @ that begins a word", () => {
    expect(mentionAt("hi @bo", 6)).toEqual({ from: 3, typed: "bo" });
    expect(mentionAt("@", 1)).toEqual({ from: 0, typed: "" });
    expect(mentionAt("@Bob Mil", 8)).toEqual({ from: 0, typed: "Bob Mil" });
    expect(mentionAt("me@bo", 5)).toBeNull();
    expect(mentionAt("@bob ", 5)).toBeNull();
    expect(insertAt("hi @bo!", 3, 6, "@Bob ")).toEqual({ text: "hi @Bob !", caret: 8 });
  });

  test("a reaction is given and taken back", () => {
    const on = toggled({ a: ["bob"] }, "a", "ada");
    expect(on).toEqual({ on: true, reactions: { a: ["bob", "ada"] } });
    expect(toggled(on.reactions, "a", "ada").reactions).toEqual({ a: ["bob"] });
    expect(toggled({ a: ["ada"] }, "a", "ada")).toEqual({ on: false, reactions: {} });
  });

  test("marks say how far a message got, in words", () => {
    const name = (user: string) => user;
    expect(shortMark({ state: "pending", delivered_to: [], read_by: [] }, false)).toBe("only here yet");
    expect(shortMark({ state: "delivered", delivered_to: ["a", "b"], read_by: [] }, false)).toBe("delivered to 2");
    expect(longMark({ state: "read", delivered_to: ["a", "b"], read_by: ["a"] }, name, false)).toBe("Read by a. Delivered to b.");
  });

  test("where nobody is left to get a message, none is said to be on its way, and what somebody got before stays true", () => {
    const name = (user: string) => user;
    for (const state of ["pending", "sent"] as const) {
      const kept = { state, delivered_to: [], read_by: [] };
      expect(`${shortMark(kept, true)} ${longMark(kept, name, true)}`).not.toMatch(/yet|goes out/);
      expect(longMark(kept, name, true)).toContain("There is nobody left in this conversation to deliver it to.");
    }
    expect(shortMark({ state: "pending", delivered_to: [], read_by: [] }, true)).toBe("kept here");
    expect(longMark({ state: "delivered", delivered_to: ["a"], read_by: [] }, name, true)).toBe("Delivered to a.");
  });

  test("a found text is cut at its highlights, and wrong ones are passed over", () => {
    expect(pieces("the golden pumpkin", [[11, 18], [4, 10], [6, 8], [90, 99]])).toEqual([
      { text: "the ", on: false }, { text: "golden", on: true }, { text: " ", on: false }, { text: "pumpkin", on: true },
    ]);
    expect(pieces("x".repeat(1000), [[500, 510]]).length).toBe(5);
  });
});

describe("what somebody may do in a channel", () => {
  const channel = (kind: Channel["kind"], role: "admin" | "member" | null) => ({ kind, joined: role !== null, members: role ? [{ user: "ada", name: "Ada", role }] : [] }) as unknown as Channel;
  const space = (role: Space["role"]) => ({ role, removed: null }) as unknown as Space;
  const rights = (kind: Channel["kind"], inIt: "admin" | "member" | null, role: Space["role"]) =>
    Object.entries(rightsIn(channel(kind, inIt), "ada", space(role))).filter(([, may]) => may).map(([name]) => name).join(" ");

  test("an admin of the space leads its public channels, and one that was named keeps them without judging what others say", () => {
    expect(rights("public", "admin", "admin")).toBe("manage moderate invite");
    expect(rights("public", null, "owner")).toBe("manage moderate");
    expect(rights("public", "admin", "member")).toBe("manage invite");
    expect(rights("public", "member", "member")).toBe("invite");
    expect(rights("public", null, "member")).toBe("");
  });

  test("in a private one only its own admins do", () => {
    expect(rights("private", "admin", "member")).toBe("manage moderate putOut invite");
    expect(rights("private", "member", "owner")).toBe("");
  });

  test("in a direct one nobody, and guests nowhere", () => {
    expect(rights("direct", "admin", "owner")).toBe("");
    expect(rights("public", "member", "guest")).toBe("");
  });
});

describe("what an admin of a channel is offered over its people", () => {
  const offered = (kind: Channel["kind"], founder: string | null, me: string, roles: Record<string, [ChannelMember["role"], Member["role"]]>) => {
    const members = Object.entries(roles).map(([user, [role]]) => ({ user, name: user, role }));
    const space = { role: kind === "private" ? "member" : roles[me]?.[1], removed: null } as unknown as Space;
    const channel = { kind, joined: true, members, founder } as unknown as Channel;
    const rights = rightsIn(channel, me, space);
    return Object.fromEntries(members.map((them) => {
      const over = overIn(channel, them, me, rights, Object.entries(roles).map(([user_id, [, role]]) => ({ user_id, role }) as unknown as Member));
      return [them.user, Object.entries(over).filter(([, may]) => may).map(([name]) => name).join(" ")];
    }));
  };

  test("in a public one whoever made it names its admins, and stays one", () => {
    const roles = { ada: ["admin", "member"], bob: ["admin", "member"], cleo: ["member", "member"], dan: ["admin", "owner"] } as const;
    const at = (me: string, founder: string | null) => offered("public", founder, me, roles as never);
    expect(at("ada", "ada")).toEqual({ ada: "", bob: "takeAdmin", cleo: "makeAdmin", dan: "" });
    expect(at("bob", "ada")).toEqual({ ada: "", bob: "", cleo: "", dan: "" });
    expect(at("dan", "ada")).toEqual({ ada: "", bob: "takeAdmin", cleo: "makeAdmin", dan: "" });
    expect(at("bob", null), "nobody here knows who made it").toEqual({ ada: "", bob: "", cleo: "", dan: "" });
    expect(at("dan", null)).toEqual({ ada: "takeAdmin", bob: "takeAdmin", cleo: "makeAdmin", dan: "" });
  });

  test("in a private one nothing is done with an owner but by another", () => {
    const roles = { ada: ["admin", "owner"], bob: ["admin", "admin"], cleo: ["member", "member"] } as const;
    expect(offered("private", null, "bob", roles as never)).toEqual({ ada: "", bob: "", cleo: "makeAdmin putOut" });
    expect(offered("private", null, "ada", roles as never)).toEqual({ ada: "", bob: "takeAdmin putOut", cleo: "makeAdmin putOut" });
  });
});

test("the node on this machine is asked also when there is no network", () => {
  expect(queries.getDefaultOptions().queries?.networkMode).toBe("always");
  expect(queries.getDefaultOptions().mutations?.networkMode).toBe("always");
});
