/**
 * What somebody hasn't seen yet of the channel that they open. Answers aren't in the channel's own list: where one is the first
 * unread message, the line stands in its place, and each thread says how many of its answers are new until it's opened.
 */
import type { Channel, Message } from "@covey/client";
import { useEffect, useMemo, useState } from "react";

/** The node counts no further than this. */
const MOST_UNREAD = 1000;

export interface Opening {
  /** The first unread message then. */
  since: string | null;
  /** The newest place then: what comes behind it is new. */
  newest: string;
  /** Whether all that stood behind `since` was unread. Of late ones, which stand between read ones, it can't be told which were. */
  all: boolean;
}

interface Before extends Pick<Channel, "unread" | "new_since"> {
  /** The place of the channel's newest message. */
  newest: string;
}

/** `atPresent` says whether the list reached to the newest: one that was opened at an old message doesn't. */
export function openingOf(items: Message[], channel: Before, { hasOlder, atPresent }: { hasOlder: boolean; atPresent: boolean }, me: string | null): Opening {
  const since = channel.unread > 0 ? channel.new_since : null;
  const at = items.findIndex((one) => one.id === since);
  const theirs = items.slice(Math.max(0, at)).filter((one) => one.author !== me && !one.deleted).length;
  const all = since !== null && atPresent && (at >= 0 || hasOlder) && (theirs <= channel.unread || channel.unread >= MOST_UNREAD);
  const last = items.at(-1)?.position ?? "";
  return { since, newest: last > channel.newest ? last : channel.newest, all };
}

/** How many answers of others are new, by the message that they answer. `seen` says up to where a thread was looked at. */
export function newAnswers(items: Message[], { since, newest, all }: Opening, seen: Record<string, string>, me: string | null): Map<string, number> {
  const from = items.find((one) => one.id === since)?.position ?? "";
  const isNew = (one: Message) => one.position > newest || one.id === since || (all && one.position >= from);
  const found = new Map<string, number>();
  for (const one of items) {
    const root = one.reply_to;
    if (root === null || one.author === me || one.deleted || !isNew(one) || one.position <= (seen[root] ?? "")) continue;
    found.set(root, (found.get(root) ?? 0) + 1);
  }
  return found;
}

export interface News {
  /** The place of the first message that was unread when the channel was opened, if it's loaded. */
  from: string | null;
  answers: ReadonlyMap<string, number>;
}

const NONE: News["answers"] = new Map();

interface Looking {
  items: Message[] | undefined;
  channel: Channel;
  hasOlder: boolean;
  atPresent: boolean;
  /** The thread that is open beside it. */
  thread: string | null;
  me: string | null;
}

/** It stays as it was when the channel was opened: reading moves the node's mark, not the line. */
export function useNews({ items, channel, hasOlder, atPresent, thread, me }: Looking): News {
  const [before] = useState({ unread: channel.unread, new_since: channel.new_since, newest: channel.last?.position ?? "" });
  const [opening, setOpening] = useState<Opening | null>(null);
  const [seen, setSeen] = useState<Record<string, string>>({});
  if (items && me && !opening) setOpening(openingOf(items, before, { hasOlder, atPresent }, me));
  const looked = thread ? items?.findLast((one) => one.reply_to === thread)?.position : undefined;
  useEffect(() => {
    if (thread && looked) setSeen((now) => (now[thread] === looked ? now : { ...now, [thread]: looked }));
  }, [looked, thread]);
  return useMemo(() => {
    if (!items || !opening) return { from: null, answers: NONE };
    const from = items.find((one) => one.id === opening.since)?.position ?? null;
    return { from, answers: atPresent ? newAnswers(items, opening, seen, me) : NONE };
  }, [atPresent, items, me, opening, seen]);
}
