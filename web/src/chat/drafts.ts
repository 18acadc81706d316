/**
 * What is being written: in this browser at every letter, on the node a moment later, so that it's there in another browser too. What
 * was sent, or is left, is told to the node at once: nobody should find in another browser, as a draft, what was sent from here.
 */
import type { Channel } from "@covey/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { onLook } from "../lib/looking.ts";
import { follow, read, write } from "../lib/store.ts";

export const PAUSE_MS = 1500;

interface Unsaved {
  space: string;
  channel: string;
  text: string;
  timer: ReturnType<typeof setTimeout>;
}

const unsaved = new Map<string, Unsaved>();
/** Drafts of one channel reach the node in the order in which they were written. */
const saving = new Map<string, Promise<void>>();

const keyOf = (space: string, channel: string, thread: string | null): string => `draft.${space}.${channel}${thread ? `.${thread}` : ""}`;

/** `thread` is a thread in the channel, or null; only a channel's own draft goes to the node. */
export function keepDraft(space: string, channel: string, thread: string | null, text: string): void {
  const key = keyOf(space, channel, thread);
  // That there is nothing has to be remembered until the node knows: its own draft would come back.
  write(key, thread && text === "" ? null : text);
  if (thread) return;
  clearTimeout(unsaved.get(key)?.timer);
  unsaved.set(key, { space, channel, text, timer: setTimeout(() => flushDraft(space, channel), PAUSE_MS) });
  if (text === "") flushDraft(space, channel);
}

/** Tells the node of the draft now, if it's not told yet. */
export function flushDraft(space: string, channel: string): void {
  const key = keyOf(space, channel, null);
  const one = unsaved.get(key);
  if (!one) return;
  clearTimeout(one.timer);
  unsaved.delete(key);
  const told = () => isKnown(one, key);
  // A draft that doesn't reach the node is still here.
  const save = () => api.saveDraft(space, channel, one.text).then(told, () => undefined);
  saving.set(key, (saving.get(key) ?? Promise.resolve()).then(save));
}

function isKnown({ space, channel, text }: Pick<Unsaved, "space" | "channel" | "text">, key: string): void {
  queries.setQueryData<Channel[] | null>(keys.channels(space), (all) => all?.map((one) => (one.id === channel ? { ...one, draft: text } : one)));
  write(knownKey(key), text || null);
  if (text === "" && read(key) === "") write(key, null);
}

/** What the node was told last. While it's what stands here, nothing was written here since. */
const knownKey = (key: string): string => `known.${key}`;

/** What is only a copy of the node's draft gives way to it: it may have been sent, or written on, in another browser since. */
async function compare(space: string, channel: string): Promise<void> {
  const key = keyOf(space, channel, null);
  const known = read(knownKey(key));
  const isCopy = () => known !== null && read(key) === known && !unsaved.has(key);
  if (!isCopy()) return;
  const { draft } = await api.channel(space, channel);
  if (draft === known || !isCopy()) return;
  write(key, draft || null);
  isKnown({ space, channel, text: draft }, key);
}

/** What is taken back goes behind what is written already. */
export const appended = (draft: string, text: string): string => (draft.trim() ? `${draft}\n${text}` : text);

export function useDraft(space: string, channel: string, thread: string | null, kept: string): [string, (text: string) => void] {
  const key = keyOf(space, channel, thread);
  const [text, setText] = useState(() => read(key) ?? kept);
  const own = useRef<string | null>(null);
  // Another tab wrote on. Its text is newer, since only one can have the keyboard.
  useEffect(() => follow(key, () => {
    const stored = read(key) ?? "";
    if (stored !== own.current) setText(stored);
  }), [key]);
  // What was written in another browser may be told after the page is there. What is written here goes before it.
  useEffect(() => {
    if (own.current === null && read(key) === null) setText(kept);
  }, [kept, key]);
  useEffect(() => {
    // It was sent, or given up, when no node could be told.
    if (thread) return;
    if (read(key) === "") keepDraft(space, channel, null, "");
    const look = () => void compare(space, channel).catch(() => undefined);
    look();
    const stopLooking = onLook(look);
    return () => {
      stopLooking();
      flushDraft(space, channel);
    };
  }, [channel, key, space, thread]);
  const change = useCallback((next: string) => {
    own.current = next;
    setText(next);
    keepDraft(space, channel, thread, next);
  }, [channel, space, thread]);
  return [text, change];
}
