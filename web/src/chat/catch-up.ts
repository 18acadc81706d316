/**
 * Lists that have to be read again though nobody said what has changed in them: of very many messages at once, of one that was
 * taken back, and of how far messages got, the node tells of the channel alone. What is in sight is read in one request; of what
 * was scrolled to above it the rest stays as it is, and isn't asked for page by page.
 */
import type { Message, MessagePage } from "@covey/client";
import type { Query } from "@tanstack/react-query";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { MESSAGES_AT_ONCE, takeMeanwhile, threadOf, watchMeanwhile, type Cursor, type MessageData } from "./queries.ts";

/** Several people read, and a device says of many messages that it has them: one request answers all of it. */
const GATHER_MS = 250;
/** The newest of a list, which are read again together: a few screens full, that a node gives in milliseconds. */
const MOST_AGAIN = 300;

const waiting = new Set<string>();
const busy = new Set<string>();

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
  void readAgain(query, space, channel).catch(() => undefined).finally(() => busy.delete(query.queryHash));
}

async function readAgain(query: Query, space: string, channel: string): Promise<void> {
  const data = query.state.data as MessageData;
  const shown = data.pages.flatMap((page) => page.items);
  const limit = Math.min(MOST_AGAIN, Math.max(MESSAGES_AT_ONCE, shown.length));
  const thread = threadOf(query.queryKey);
  const ask = (cursor: Cursor) => api.messages(space, channel, thread ? { thread, ...cursor } : cursor);
  const anchor = aroundOf(query);
  const reaches = data.pages.at(-1)?.after === null;
  const cursor: Cursor = reaches || !anchor ? { limit } : { around: anchor, limit };
  watchMeanwhile(query.queryHash);
  let window = await ask(cursor);
  // So many are new that what is shown lies behind them: whoever reads there should not be moved away.
  const oldest = shown[0]?.position ?? "";
  if (reaches && window.before && window.items[0] && window.items[0].position > oldest && window.items.length < MOST_AGAIN) {
    const more = await ask({ before: window.before, limit: MOST_AGAIN - window.items.length });
    window = { items: [...more.items, ...window.items], before: more.before, after: window.after };
    cursor.limit = window.items.length;
  }
  const putBack = takeMeanwhile(query.queryKey, query.queryHash);
  // Meanwhile another part of it was fetched, in which this would be missing.
  if (!putBack || query.state.fetchStatus === "fetching") return catchUp(space, channel);
  const now = query.state.data as MessageData | undefined;
  if (now) queries.setQueryData<MessageData>(query.queryKey, withWindow(now, window, cursor));
  putBack();
}

function aroundOf(query: Query): string | null {
  const list = query.queryKey[3];
  return typeof list === "string" && list.startsWith("around ") ? list.slice("around ".length) : null;
}

/** The list with a row of messages in the place of what it had there. What isn't in the row any more is gone. */
export function withWindow(data: MessageData, window: MessagePage, cursor: Cursor): MessageData {
  const first = window.items[0]?.position;
  const last = window.items.at(-1)?.position;
  const newest = data.pages.at(-1)?.items.at(-1)?.position ?? "";
  // Where the row doesn't reach down to what was shown, there would be a gap.
  const hasOlder = first !== undefined && window.before !== null && newest >= first;
  const below = hasOlder ? cut(data, (one) => one.position < first) : NONE;
  const above = last !== undefined && window.after !== null ? cut(data, (one) => one.position > last) : NONE;
  return { pages: [...below.pages, window, ...above.pages], pageParams: [...below.pageParams, cursor, ...above.pageParams] };
}

const NONE: MessageData = { pages: [], pageParams: [] };

function cut(data: MessageData, stays: (message: Message) => boolean): MessageData {
  const parts = data.pages.map((page, at) => ({ page: { ...page, items: page.items.filter(stays) }, param: data.pageParams[at] ?? {} }));
  const left = parts.filter(({ page }) => page.items.length > 0);
  return { pages: left.map(({ page }) => page), pageParams: left.map(({ param }) => param) };
}
