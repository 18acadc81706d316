/** What the conversation asks for, and how answers and events are kept together in the cache. */
import type { Channel, Member, Message, MessagePage } from "@covey/client";
import { infiniteQueryOptions, queryOptions, useInfiniteQuery, useQuery, type InfiniteData, type QueryKey } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, isMissing, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useMembers, useStatus } from "../api/queries.ts";
import { isBeingTold } from "./seen.ts";

const channelsOf = (space: string) =>
  queryOptions<Channel[] | null>({
    queryKey: keys.channels(space),
    queryFn: async ({ signal }) => {
      try {
        return (await api.channels(space, signal)).items;
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
  });

/** The channels of a space, or null where this node has no conversations: then nothing of them is shown. */
export const useChannels = (space: string | null) => useQuery({ ...channelsOf(space ?? ""), enabled: space !== null });

/** Before anything is drawn, so that the answer comes meanwhile. */
export const askChannelsAhead = (space: string): void => void queries.prefetchQuery(channelsOf(space));

export const useChannel = (space: string, id: string): Channel | undefined => useChannels(space).data?.find((one) => one.id === id);

/** How many messages one hasn't seen yet in the channels that one is in, or follows as a guest: of all others the node says that there are none. */
export const useUnread = (space: string | null): number => (useChannels(space).data ?? []).reduce((sum, one) => sum + (isUnread(one) ? one.unread : 0), 0);

/** Not what is being read just now, of which the node hears in a moment. */
export const isUnread = (channel: Channel): boolean => !channel.archived && channel.unread > 0 && !isBeingTold(channel.space, channel.id, channel.last?.id);

export const useMe = (): string | null => useStatus().data?.node.user_id ?? null;

const othersIn = (channel: Channel, me: string | null): string[] => channel.members.filter((member) => member.user !== me).map((member) => member.name);

/** What a channel is called: a direct one by the others, also by those of them who are no longer in it. */
export function channelTitle(channel: Channel, me: string | null): string {
  if (channel.kind !== "direct") return channel.name;
  // In the order in which the node and everybody else's page names them.
  return channel.name || othersIn(channel, me).sort().join(", ");
}

/** Why nobody would read what is written in a direct conversation, or false. */
export function whyNobody(channel: Channel, me: string | null): string | false {
  if (channel.kind !== "direct" || othersIn(channel, me).length > 0) return false;
  return `${channel.name} ${channel.name.includes(", ") ? "are" : "is"} no longer in this space.`;
}

export type MessageData = InfiniteData<MessagePage, Cursor>;
export type Cursor = { before?: string; after?: string; around?: string; limit?: number };

/** Enough to fill a tall screen, so that the first scroll finds something. */
export const MESSAGES_AT_ONCE = 60;

/** The list of a channel's messages: the newest, or those around one. */
export const listKey = (space: string, channel: string, around: string | null): QueryKey => [...keys.messages(space, channel), around ? `around ${around}` : "newest"];

const messagesOf = (space: string, channel: string, around: string | null) =>
  infiniteQueryOptions({
    queryKey: listKey(space, channel, around),
    initialPageParam: (around ? { around } : {}) as Cursor,
    queryFn: ({ pageParam, signal }) => api.messages(space, channel, { limit: MESSAGES_AT_ONCE, ...pageParam }, signal),
    getPreviousPageParam: (page) => (page.before ? { before: page.before } : null),
    getNextPageParam: (page) => (page.after ? { after: page.after } : null),
  });

export const useMessages = (space: string, channel: string, around: string | null) => useInfiniteQuery(messagesOf(space, channel, around));

/** While somebody points at a channel, so that they are here when it's opened. */
export const askMessagesAhead = (space: string, channel: string): void => void queries.prefetchInfiniteQuery(messagesOf(space, channel, null));

export const useThread = (space: string, channel: string, root: string) =>
  useInfiniteQuery({
    queryKey: keys.thread(space, channel, root),
    initialPageParam: {} as Cursor,
    queryFn: ({ pageParam, signal }) => api.messages(space, channel, { thread: root, limit: MESSAGES_AT_ONCE, ...pageParam }, signal),
    getPreviousPageParam: (page) => (page.before ? { before: page.before } : null),
    getNextPageParam: (page) => (page.after ? { after: page.after } : null),
  });

/** One message, as the head of its thread. */
export const useMessage = (space: string, id: string, wanted: boolean) =>
  useQuery({ queryKey: keys.message(space, id), enabled: wanted, queryFn: ({ signal }) => api.message(space, id, signal) });

/**
 * Puts a message where it belongs: in its own place, or where its time says. Who was away has their messages come late, between others.
 * One that lies outside of what is loaded comes with the page that it is in.
 */
export function withMessage(data: MessageData, message: Message, mayAdd: boolean): MessageData {
  if (data.pages.some((page) => page.items.some((one) => one.id === message.id))) {
    const put = (one: Message) => (one.id === message.id ? message : one);
    return { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map(put) })) };
  }
  if (!mayAdd) return data;
  const isBefore = (one: Message | undefined) => one !== undefined && one.position < message.position;
  // Behind the last that is older; and where none is, before all, if this is where the history begins.
  let at = data.pages.findLastIndex((page) => isBefore(page.items[0]));
  if (at < 0 && (data.pages[0]?.before ?? null) === null) at = 0;
  const page = data.pages[at];
  if (!page) return data;
  const place = page.items.findLastIndex(isBefore) + 1;
  const isBehindAll = at === data.pages.length - 1 && place === page.items.length;
  if (isBehindAll && page.after !== null) return data;
  const pages = [...data.pages];
  pages[at] = { ...page, items: [...page.items.slice(0, place), message, ...page.items.slice(place)] };
  return { ...data, pages };
}

/** Into every list that holds it. Answers come with the channel's messages too; its page shows them in their thread. */
export function keepMessage(space: string, message: Message): void {
  queries.setQueryData<Message>(keys.message(space, message.id), (known) => known && message);
  for (const query of queries.getQueryCache().findAll({ queryKey: keys.messages(space, message.channel) })) {
    const watched = meanwhile.get(query.queryHash);
    if (query.state.fetchStatus !== "idle" || watched) meanwhile.set(query.queryHash, [...(watched ?? []), message]);
    keepIn(query.queryKey, message);
  }
}

/** The message whose answers a list shows, or null for a list of the channel's own messages. */
export function threadOf(key: QueryKey): string | null {
  const list = key[3];
  return typeof list === "string" && list !== "newest" && !list.startsWith("around ") ? list : null;
}

function keepIn(key: QueryKey, message: Message): void {
  const thread = threadOf(key);
  const belongs = !thread || message.reply_to === thread || message.id === thread;
  queries.setQueryData<MessageData>(key, (data) => data && withMessage(data, message, belongs));
}

/**
 * What came while a list was being fetched, by the list. The answer takes the whole list's place, and the node may have given it before:
 * without this a message that comes while one scrolls up would be gone until the page is loaded again.
 */
const meanwhile = new Map<string, Message[]>();

/** From now on, until it's taken, what comes is noted for a list of which a part is fetched elsewhere. */
export const watchMeanwhile = (hash: string): void => void (meanwhile.has(hash) || meanwhile.set(hash, []));

/** What came since, to be put into the list again; undefined if the list was fetched since. */
export function takeMeanwhile(key: QueryKey, hash: string): (() => void) | undefined {
  const messages = meanwhile.get(hash);
  meanwhile.delete(hash);
  return messages && (() => messages.forEach((message) => keepIn(key, message)));
}

queries.getQueryCache().subscribe((event) => {
  if (event.type !== "updated") return;
  const { action, query } = event;
  const isAnswer = (action.type === "success" && !action.manual) || action.type === "error";
  if (isAnswer) takeMeanwhile(query.queryKey, query.queryHash)?.();
});

export function keepChannel(space: string, change: Channel): void {
  queries.setQueryData<Channel[] | null>(keys.channels(space), (channels) => {
    if (!channels) return channels;
    return channels.some((one) => one.id === change.id) ? channels.map((one) => (one.id === change.id ? change : one)) : [...channels, change];
  });
}

/** Changes a message at once, and gives back what undoes it should the node refuse. */
export function changeAtOnce(space: string, message: Message, change: Partial<Message>): () => void {
  keepMessage(space, { ...message, ...change });
  return () => keepMessage(space, message);
}

/** The names of people, for reactions and receipts. */
export function useNames(space: string): (user: string) => string {
  const { data } = useMembers(space);
  return useMemo(() => {
    const names = new Map((data ?? []).map((member: Member) => [member.user_id, member.name]));
    return (user: string) => names.get(user) ?? "somebody";
  }, [data]);
}
