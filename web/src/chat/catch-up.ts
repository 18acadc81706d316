/**
 * Lists that have to be read again though nobody said what has changed in them: of very many messages at once, of one that was
 * taken back, and of how far messages got, the node tells of the channel alone. The newest are read again in one request. What was
 * scrolled to above them is stale from then on, and read again where it's in sight or comes there, never page by page as a whole.
 */
import type { Message, MessagePage } from "@covey/client";
import type { Query, QueryKey } from "@tanstack/react-query";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { MESSAGES_AT_ONCE, takeMeanwhile, threadOf, watchMeanwhile, type Cursor, type MessageData } from "./queries.ts";

/** Several people read, and a device says of many messages that it has them: one request answers all of it. */
const GATHER_MS = 250;
/** The newest of a list, which are read again together: a few screens full, that a node gives in milliseconds. */
const MOST_AGAIN = 300;
/** And further up at a time: what is in sight, and a screen beside it, so that slow scrolling asks once a screen. */
const IN_SIGHT = 120;
const AHEAD = 50;

const waiting = new Set<string>();
const busy = new Set<string>();

/** A row of places, up to and without `to`. */
interface Stretch {
  from: string;
  to: string;
}
/** What may be older than what the node has, by the list. */
const stale = new Map<string, Stretch[]>();
/** The first and the last place on the screen, by the list. */
const sights = new Map<string, Stretch>();

queries.getQueryCache().subscribe((event) => {
  const hash = event.query.queryHash;
  if (event.type === "removed") {
    sights.delete(hash);
    stale.delete(hash);
  }
  if (event.type !== "updated" || !stale.has(hash)) return;
  const { action, query } = event;
  if (action.type === "success" && !action.manual && !query.state.fetchMeta?.fetchMore) stale.delete(hash);
  // Nothing is read again while another part is on its way.
  if (action.type === "error" || (action.type === "success" && !action.manual)) freshen(query);
});

/** Brings the lists of a channel to what the node has: those on the page soon, the others when they're opened again. */
export function catchUp(space: string, channel: string): void {
  const name = `${space} ${channel}`;
  if (waiting.has(name)) return;
  waiting.add(name);
  setTimeout(() => {
    waiting.delete(name);
    for (const query of queries.getQueryCache().findAll({ queryKey: keys.messages(space, channel) })) look(query, space, channel);
  }, GATHER_MS);
}

function look(query: Query, space: string, channel: string): void {
  const isFetching = query.state.fetchStatus === "fetching";
  // An answer that is on its way may be older than the change, and takes the whole list's place.
  if (busy.has(query.queryHash) || (isFetching && query.isActive())) return catchUp(space, channel);
  if (query.state.data === undefined) return;
  if (!query.isActive()) return query.invalidate();
  busy.add(query.queryHash);
  // A node that doesn't answer is waited for, and then everything is asked for anew.
  void alone(query, readAgain(query, space, channel));
}

/** One request for a list at a time. */
async function alone(query: Query, reading: Promise<void>): Promise<void> {
  try {
    await reading;
  } catch {
    return;
  } finally {
    busy.delete(query.queryHash);
  }
  freshen(query);
}

function ask({ queryKey }: Query, cursor: Cursor): Promise<MessagePage> {
  const [, space = "", channel = ""] = queryKey.map(String);
  const thread = threadOf(queryKey);
  return api.messages(space, channel, thread ? { thread, ...cursor } : cursor);
}

const messagesOf = (query: Query): Message[] => (query.state.data as MessageData | undefined)?.pages.flatMap((page) => page.items) ?? [];

/** Says which messages of a list are on the screen: what is stale of them is read again. */
export function lookAt(key: QueryKey, from: string, to: string): void {
  const query = queries.getQueryCache().find({ queryKey: key, exact: true });
  if (!query) return;
  sights.set(query.queryHash, { from, to });
  freshen(query);
}

function freshen(query: Query): void {
  const hash = query.queryHash;
  const sight = sights.get(hash);
  const stretches = stale.get(hash);
  if (!sight || !stretches || busy.has(hash) || !query.isActive() || query.state.fetchStatus === "fetching") return;
  const shown = messagesOf(query);
  const isStale = ({ position }: Message) => stretches.some(({ from, to }) => from <= position && position < to);
  const at = shown.findLastIndex((one) => sight.from <= one.position && one.position <= sight.to && isStale(one));
  if (at < 0) return;
  const ahead = shown.slice(at + 1, at + 1 + AHEAD);
  const fresh = ahead.findIndex((one) => !isStale(one));
  const end = at + 1 + (fresh < 0 ? ahead.length : fresh);
  busy.add(hash);
  // Behind the last of a list there is room for no other one before this place.
  void alone(query, readSight(query, shown[end]?.position ?? `${shown.at(-1)?.position ?? ""}0`));
}

async function readSight(query: Query, to: string): Promise<void> {
  const cursor: Cursor = { before: to, limit: IN_SIGHT };
  watchMeanwhile(query.queryHash);
  const window = await ask(query, cursor);
  const putBack = takeMeanwhile(query.queryKey, query.queryHash);
  // Another part of the list was fetched meanwhile, or is on its way, and takes the whole list's place: once more, then.
  if (!putBack || query.state.fetchStatus === "fetching") return;
  const now = query.state.data as MessageData | undefined;
  if (now) queries.setQueryData<MessageData>(query.queryKey, withWindow(now, window, cursor, to));
  markFresh(query.queryHash, { from: (window.before !== null && window.items[0]?.position) || "", to });
  putBack();
}

function markFresh(hash: string, { from, to }: Stretch): void {
  const left = (stale.get(hash) ?? []).flatMap((one) => [
    { from: one.from, to: one.to < from ? one.to : from },
    { from: one.from > to ? one.from : to, to: one.to },
  ]);
  stale.set(hash, left.filter((one) => one.from < one.to));
}

/** What is loaded beside a row of messages that was just read. */
function staleBeside(query: Query, window: MessagePage): void {
  const first = window.items[0]?.position;
  const last = window.items.at(-1)?.position;
  if (first === undefined || last === undefined) return void stale.delete(query.queryHash);
  const shown = messagesOf(query);
  const end = shown.at(-1)?.position ?? last;
  stale.set(query.queryHash, [{ from: shown[0]?.position ?? first, to: first }, { from: `${last}0`, to: `${end}0` }].filter((one) => one.from < one.to));
}

async function readAgain(query: Query, space: string, channel: string): Promise<void> {
  const data = query.state.data as MessageData;
  const shown = data.pages.flatMap((page) => page.items);
  const limit = Math.min(MOST_AGAIN, Math.max(MESSAGES_AT_ONCE, shown.length));
  const anchor = aroundOf(query);
  const reaches = data.pages.at(-1)?.after === null;
  const cursor: Cursor = reaches || !anchor ? { limit } : { around: anchor, limit };
  watchMeanwhile(query.queryHash);
  let window = await ask(query, cursor);
  // So many are new that what is shown lies behind them: whoever reads there should not be moved away.
  const oldest = shown[0]?.position ?? "";
  if (reaches && window.before && window.items[0] && window.items[0].position > oldest && window.items.length < MOST_AGAIN) {
    const more = await ask(query, { before: window.before, limit: MOST_AGAIN - window.items.length });
    window = { items: [...more.items, ...window.items], before: more.before, after: window.after };
    cursor.limit = window.items.length;
  }
  const putBack = takeMeanwhile(query.queryKey, query.queryHash);
  // Meanwhile another part of it was fetched, in which this would be missing.
  if (!putBack || query.state.fetchStatus === "fetching") return catchUp(space, channel);
  const now = query.state.data as MessageData | undefined;
  if (now) queries.setQueryData<MessageData>(query.queryKey, withWindow(now, window, cursor));
  staleBeside(query, window);
  putBack();
}

function aroundOf(query: Query): string | null {
  const list = query.queryKey[3];
  return typeof list === "string" && list.startsWith("around ") ? list.slice("around ".length) : null;
}

/** The list with a row of messages in the place of what it had there, up to `to` if it's said. What isn't in the row any more is gone. */
export function withWindow(data: MessageData, window: MessagePage, cursor: Cursor, to?: string): MessageData {
  const first = window.items[0]?.position;
  const last = window.items.at(-1)?.position;
  const newest = data.pages.at(-1)?.items.at(-1)?.position ?? "";
  // Where the row doesn't reach down to what was shown, there would be a gap.
  const hasOlder = first !== undefined && window.before !== null && newest >= first;
  const below = hasOlder ? cut(data, (one) => one.position < first) : NONE;
  const goesOn = last !== undefined && window.after !== null;
  const above = to !== undefined ? cut(data, (one) => one.position >= to) : goesOn ? cut(data, (one) => one.position > last) : NONE;
  return { pages: [...below.pages, window, ...above.pages], pageParams: [...below.pageParams, cursor, ...above.pageParams] };
}

const NONE: MessageData = { pages: [], pageParams: [] };

function cut(data: MessageData, stays: (message: Message) => boolean): MessageData {
  const parts = data.pages.map((page, at) => ({ page: { ...page, items: page.items.filter(stays) }, param: data.pageParams[at] ?? {} }));
  const left = parts.filter(({ page }) => page.items.length > 0);
  return { pages: left.map(({ page }) => page), pageParams: left.map(({ param }) => param) };
}
