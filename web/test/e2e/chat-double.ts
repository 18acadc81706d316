/** The conversation's routes, kept in memory, for tests of the app alone. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Channel, ChannelMember, Message } from "@covey/client";

type Event = Record<string, unknown>;
type Body = Record<string, unknown>;

const ROUTE = /^\/api\/v1\/(?:presence$|spaces\/[^/]+\/(?:channels|direct|messages|presence|search)(?:\/|$))/;

export interface Me {
  user: string;
  name: string;
  device: string;
}

export class ChatDouble {
  readonly channels: Channel[] = [];
  readonly messages: Message[] = [];
  /** Refuses what is sent or edited, with this sentence. */
  refuse: string | null = null;
  /** And this status. */
  refuseWith = 403;
  readonly sentIds: string[] = [];
  private readonly listeners = new Set<(event: Event) => void>();
  private position = Date.now() * 1000;
  private clock = Date.now() - 3_600_000 * 30;

  constructor(readonly space: string, readonly me: Me, readonly people: ChannelMember[]) {}

  takes(_method: string, path: string): boolean {
    return ROUTE.test(path);
  }

  listen(listener: (event: Event) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  emit(event: Event): void {
    const full = { position: ++this.position, at: new Date().toISOString(), ...event };
    for (const listener of this.listeners) listener(full);
  }

  channel(name: string, kind: Channel["kind"] = "public", members = this.people, joined = true): Channel {
    const made: Channel = { id: `c-${this.channels.length + 1}`, space: this.space, name, kind, topic: "", archived: false, joined, members, founder: members[0]?.user ?? null, unread: 0, mentions: 0, new_since: null, last: null, draft: "" };
    this.channels.push(made);
    return made;
  }

  /** Somebody says something. Without `at` time goes on by itself. */
  say(channel: Channel, author: ChannelMember, text: string, more: Partial<Message> & { minutes?: number } = {}): Message {
    const { minutes = 2, ...rest } = more;
    this.clock = Math.min(Date.now(), this.clock + minutes * 60_000);
    const own = author.user === this.me.user;
    const message: Message = {
      id: randomUUID(), channel: channel.id, author: author.user, author_name: author.name, device: own ? this.me.device : `${author.name}-laptop`, text,
      at: new Date(this.clock).toISOString(), edited: false, deleted: false, reply_to: null, thread: null,
      mentions: this.people.filter((one) => text.includes(`@${one.name}`)).map((one) => one.user), reactions: {}, state: own ? "pending" : "sent",
      delivered_to: [], read_by: [], position: String(++this.position), ...rest,
    };
    this.messages.push(message);
    if (message.reply_to) {
      const root = this.find(message.reply_to);
      if (root) this.change(root, { thread: { replies: (root.thread?.replies ?? 0) + 1, last_at: message.at } });
    }
    if (!own) {
      channel.unread++;
      channel.new_since ??= message.id;
      if (message.mentions.includes(this.me.user)) channel.mentions++;
    }
    channel.last = message;
    this.emit({ event: "message", space: this.space, channel: channel.id, new: true, message });
    return message;
  }

  change(message: Message, change: Partial<Message>): void {
    const at = this.messages.findIndex((one) => one.id === message.id);
    const next = { ...(this.messages[at] ?? message), ...change };
    this.messages[at] = next;
    this.emit({ event: "message", space: this.space, channel: next.channel, new: false, message: next });
  }

  /** Somebody else's device has it. The node tells only up to where a device has everything. */
  deliver(message: Message, to: string[]): void {
    Object.assign(message, { delivered_to: to, state: "delivered" });
    this.emit({ event: "delivered", space: this.space, peer_id: "somebody", up_to: "0" });
  }

  /** Somebody has read it. The node tells that the channel has changed, and nothing of the messages. */
  read(channel: Channel, message: Message, by: string[]): void {
    Object.assign(message, { delivered_to: by, read_by: by, state: "read" });
    this.emit({ event: "channel", space: this.space, channel });
  }

  private refused(): [number, unknown] {
    return [this.refuseWith, { type: "/problems/refused", title: "", status: this.refuseWith, detail: this.refuse }];
  }

  find(id: string): Message | undefined {
    return this.messages.find((one) => one.id === id);
  }

  async answer(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const url = new URL(from.url ?? "/", "http://x");
    const parts = url.pathname.split("/").slice(3).map(decodeURIComponent);
    const chunks: Buffer[] = [];
    for await (const chunk of from) chunks.push(chunk as Buffer);
    const body = (chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}) as Body;
    const [status, value] = this.route(from.method ?? "GET", parts, url.searchParams, body);
    to.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" });
    to.end(value === null ? undefined : JSON.stringify(value));
  }

  private route(method: string, parts: string[], query: URLSearchParams, body: Body): [number, unknown] {
    if (parts[0] === "presence") return [204, null];
    const [, , kind, id, what, who] = parts;
    if (kind === "presence") return [200, { items: this.people.map((one, at) => ({ user: one.user, state: at < 2 ? "online" : at === 2 ? "away" : "offline", since: null })) }];
    if (kind === "search") return [200, this.search(query)];
    if (kind === "direct") return [201, this.direct(body["users"] as string[])];
    if (kind === "messages" && id) return this.onMessage(method, id, what, who, body);
    if (!id) return method === "POST" ? [201, this.channel(String(body["name"]), body["private"] ? "private" : "public")] : [200, { items: this.channels }];
    const channel = this.channels.find((one) => one.id === id);
    if (!channel) return [404, { type: "/problems/not-found", title: "", status: 404, detail: "there is no such channel" }];
    return this.onChannel(method, channel, what, query, body);
  }

  private onChannel(method: string, channel: Channel, what: string | undefined, query: URLSearchParams, body: Body): [number, unknown] {
    if (what === "messages") return method === "POST" ? this.post(channel, body) : [200, this.page(channel, query)];
    if (what === "read") this.changeChannel(channel, { unread: 0, mentions: 0, new_since: null });
    if (what === "draft") channel.draft = String(body["text"]);
    if (what === "join" || what === "leave") channel.joined = what === "join";
    if (what) return [204, null];
    if (method === "PATCH") this.changeChannel(channel, body as Partial<Channel>);
    return [200, channel];
  }

  changeChannel(channel: Channel, change: Partial<Channel>): void {
    Object.assign(channel, change);
    this.emit({ event: "channel", space: this.space, channel });
  }

  private post(channel: Channel, body: Body): [number, unknown] {
    if (this.refuse) return this.refused();
    const client = String(body["client_id"]);
    const known = this.messages.find((one) => one.id === client);
    if (known) return [201, known];
    this.sentIds.push(client);
    const me = this.people.find((one) => one.user === this.me.user);
    if (!me) throw new Error("the user is not among the people");
    this.clock = Date.now();
    return [201, this.say(channel, me, String(body["text"]), { id: client, reply_to: (body["reply_to"] as string | undefined) ?? null, minutes: 0 })];
  }

  private onMessage(method: string, id: string, what: string | undefined, emoji: string | undefined, body: Body): [number, unknown] {
    const message = this.find(id);
    if (!message) return [404, { type: "/problems/not-found", title: "", status: 404, detail: "there is no such message" }];
    if (what === "reactions" && emoji) {
      const users = (message.reactions[emoji] ?? []).filter((user) => user !== this.me.user);
      this.change(message, { reactions: { ...message.reactions, [emoji]: method === "PUT" ? [...users, this.me.user] : users } });
      return [204, null];
    }
    if (method === "GET") return [200, message];
    if (method === "DELETE") this.change(message, { deleted: true, text: "" });
    else if (this.refuse) return this.refused();
    else this.change(message, { text: String(body["text"]), edited: true });
    return method === "DELETE" ? [204, null] : [200, this.find(id)];
  }

  private page(channel: Channel, query: URLSearchParams): unknown {
    const thread = query.get("thread");
    const all = this.messages.filter((one) => one.channel === channel.id && (!thread || one.reply_to === thread));
    const limit = Number(query.get("limit") ?? 50);
    // A place is that of a message, which may be gone by then.
    const upTo = (fits: (place: string) => boolean) => all.filter((one) => fits(one.position)).length;
    const [before, after, around] = ["before", "after", "around"].map((name) => query.get(name));
    let [from, to] = [all.length - limit, all.length];
    if (before) [from, to] = [upTo((place) => place < before) - limit, upTo((place) => place < before)];
    else if (after) [from, to] = [upTo((place) => place <= after), upTo((place) => place <= after) + limit];
    else if (around) [from, to] = [all.findIndex((one) => one.id === around) - limit / 2, all.findIndex((one) => one.id === around) + limit / 2];
    from = Math.max(0, from);
    const items = all.slice(from, to);
    return { items, before: from > 0 ? (items[0]?.position ?? null) : null, after: to < all.length ? (items.at(-1)?.position ?? null) : null };
  }

  private direct(users: string[]): Channel {
    const wanted = [this.me.user, ...users].sort().join();
    const known = this.channels.find((one) => one.kind === "direct" && one.members.map((member) => member.user).sort().join() === wanted);
    return known ?? this.channel("", "direct", this.people.filter((one) => wanted.includes(one.user)));
  }

  private search(query: URLSearchParams): unknown {
    const words = (query.get("q") ?? "").toLowerCase();
    const hits = this.messages.filter((one) => !one.deleted && one.text.toLowerCase().includes(words)).reverse();
    const from = Number(query.get("next") ?? 0);
    const to = from + Number(query.get("limit") ?? 100);
    const items = hits.slice(from, to).map((message) => {
      const at = message.text.toLowerCase().indexOf(words);
      return { message, highlights: [[at, at + words.length]] };
    });
    return { items, next: to < hits.length ? String(to) : null };
  }
}
