/** Chat's share of the node's events: new messages, changed channels, who is typing and who is there. */
import type { Message, NodeEvent, Presence, Status } from "@covey/client";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useSyncExternalStore } from "react";
import { useLocation } from "wouter";
import { api, isMissing, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { onNodeEvent, stale, useLine } from "../api/live.ts";
import { notify } from "../lib/notify.ts";
import { catchUp } from "./catch-up.ts";
import { flushAll, onSent } from "./outbox.ts";
import { watchPresence, type PresenceWatch } from "./presence.ts";
import { keepChannel, keepMessage, useChannels, useMe, type MessageData } from "./queries.ts";

/** Somebody who hasn't typed for this long has stopped. */
const TYPING_MS = 5000;
/** Telling it more often than this says nothing new. */
const TYPING_EVERY_MS = 3000;

const typing = new Map<string, number>();
const typingListeners = new Set<() => void>();
let typingShown: readonly string[] = [];

function tellTyping(): void {
  const now = Date.now();
  for (const [who, since] of typing) if (now - since > TYPING_MS) typing.delete(who);
  const next = [...typing.keys()];
  if (next.join() === typingShown.join()) return;
  typingShown = next;
  for (const listener of typingListeners) listener();
}

const subscribeTyping = (listener: () => void) => {
  typingListeners.add(listener);
  return () => void typingListeners.delete(listener);
};

/** The ids of those who are typing in a channel. */
export function useTyping(channel: string): string[] {
  const all = useSyncExternalStore(subscribeTyping, () => typingShown);
  return all.filter((who) => who.startsWith(`${channel} `)).map((who) => who.slice(channel.length + 1));
}

let toldTyping = 0;
export function tellThatTyping(space: string, channel: string): void {
  if (Date.now() - toldTyping < TYPING_EVERY_MS) return;
  toldTyping = Date.now();
  api.typing(space, channel).catch(() => undefined);
}

function take(event: NodeEvent, me: string | null, go: (path: string) => void): void {
  switch (event.event) {
    case "message":
      keepMessage(event.space, event.message);
      if (event.message.reply_to) void countReplies(event.space, event.message.reply_to);
      typing.delete(`${event.channel} ${event.message.author}`);
      tellTyping();
      stale(...keys.channels(event.space));
      // One that was here before is told of again with a reaction to it, or when it's judged anew.
      return event.new ? tellUser(event.space, event.message, me, go) : undefined;
    case "channel":
      keepChannel(event.space, event.channel);
      // It's also what is told in place of very many messages, of one that was taken back, and of what was read.
      catchUp(event.space, event.channel.id);
      return stale(...keys.messageOf(event.space));
    case "typing":
      if (event.user === me) return;
      typing.set(`${event.channel} ${event.user}`, Date.now());
      setTimeout(tellTyping, TYPING_MS + 100);
      return tellTyping();
    case "presence":
      return void queries.setQueryData<Presence[]>(keys.presence(event.space), (list) => {
        const rest = (list ?? []).filter((one) => one.user !== event.user);
        return [...rest, { user: event.user, state: event.state, since: null }];
      });
    case "delivered":
      return lookAgain(event.space, me);
    default:
  }
}

/** How many answers a message has stands in the message itself, which is asked for when one comes. */
async function countReplies(space: string, root: string): Promise<void> {
  try {
    keepMessage(space, await api.message(space, root));
  } catch {
    // It isn't here yet, or is gone; whoever opens the list gets it from there.
  }
}

/** A device says up to where it has everything: messages of one's own may have got further than is shown. */
function lookAgain(space: string, me: string | null): void {
  const isOpen = (message: Message) => message.author === me && message.state !== "read";
  // A private channel or a direct conversation is a space within the one under which the page keeps its messages.
  const around = queries.getQueryData<Status>(keys.status)?.spaces.find((one) => one.id === space)?.parent?.id ?? space;
  for (const { queryKey, state } of queries.getQueryCache().findAll({ queryKey: keys.messagesOf(around) })) {
    const data = state.data as MessageData | undefined;
    if (data?.pages.some((page) => page.items.some(isOpen))) catchUp(around, String(queryKey[2]));
  }
}

/** Only for what is meant for this user: a mention, or a message to them alone. */
function tellUser(space: string, message: Message, me: string | null, go: (path: string) => void): void {
  if (!me || message.author === me || message.deleted || message.edited) return;
  const channel = queries.getQueryData<{ id: string; kind: string; name: string }[] | null>(keys.channels(space))?.find((one) => one.id === message.channel);
  const direct = channel?.kind === "direct";
  if (!direct && !message.mentions.includes(me)) return;
  const title = direct ? message.author_name : `${message.author_name} in #${channel?.name ?? "a channel"}`;
  const { channel: id, reply_to: root } = message;
  void notify(title, message.text, message.id, () => go(`/s/${space}/c/${id}?at=${root ?? message.id}${root ? `&thread=${root}` : ""}`));
}

/** Follows the events for the whole app, sends what waits when the node is back, and says whether somebody is here. */
export function useChatLive(space: string | null): void {
  const me = useMe();
  const [, go] = useLocation();
  const open = useLine().state === "open";
  const hasChat = Boolean(useChannels(space).data);
  useEffect(() => onNodeEvent((event) => take(event, me, go)), [go, me]);
  useEffect(() => {
    if (open && hasChat) flushAll();
  }, [hasChat, open]);
  const presence = useRef<PresenceWatch | null>(null);
  useEffect(() => {
    const watch = watchPresence(api.setPresence);
    presence.current = watch;
    const stopListening = onSent(watch.acted);
    return () => {
      stopListening();
      watch.stop();
    };
  }, []);
  useEffect(() => presence.current?.setOpen(open && hasChat), [hasChat, open]);
}

/** Who is there, by user. Empty where the node doesn't tell. */
export function usePresence(space: string): Map<string, Presence["state"]> {
  const hasChat = Boolean(useChannels(space).data);
  const { data } = useQuery<Presence[]>({
    queryKey: keys.presence(space),
    enabled: hasChat,
    queryFn: async ({ signal }) => {
      try {
        return (await api.presence(space, signal)).items;
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    },
  });
  return new Map((data ?? []).map((one) => [one.user, one.state]));
}
