/**
 * What was sent here and isn't on the node yet. It's in the browser's storage before anything else happens, so that neither a
 * closed tab nor a node that is away loses it. Each has an id of its own by which the node knows it again: sending it twice,
 * from two tabs or after a break, makes one message.
 */
import { waitBefore } from "@covey/client";
import { useMemo } from "react";
import { api, isPassing, isSignedOut, isUnreachable } from "../api/client.ts";
import { setSignedOut } from "../api/session.ts";
import { read, useStored, write } from "../lib/store.ts";
import { keepMessage } from "./queries.ts";

export interface Outgoing {
  client_id: string;
  text: string;
  reply_to: string | null;
  at: string;
  /** Why the node refused it. It isn't tried again by itself. */
  refused?: string;
  /** Why it isn't there yet, though the node answers: its disk is full, or too much is asked of it. It's tried again by itself. */
  waiting?: string;
}

const keyOf = (space: string, channel: string): string => `outbox.${space}.${channel}`;

export function parseOutbox(text: string | null): Outgoing[] {
  try {
    const value: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(value) ? value.filter((one): one is Outgoing => typeof (one as Outgoing)?.client_id === "string" && typeof (one as Outgoing).text === "string") : [];
  } catch {
    return [];
  }
}

const load = (space: string, channel: string): Outgoing[] => parseOutbox(read(keyOf(space, channel)));
const save = (space: string, channel: string, list: Outgoing[]): void => write(keyOf(space, channel), list.length === 0 ? null : JSON.stringify(list));

export function useOutbox(space: string, channel: string): Outgoing[] {
  const [stored] = useStored(keyOf(space, channel));
  return useMemo(() => parseOutbox(stored), [stored]);
}

export function post(space: string, channel: string, text: string, reply_to: string | null): void {
  const one: Outgoing = { client_id: crypto.randomUUID(), text, reply_to, at: new Date().toISOString() };
  save(space, channel, [...load(space, channel), one]);
  void flush(space, channel);
}

export function withdraw(space: string, channel: string, client_id: string): Outgoing | undefined {
  const list = load(space, channel);
  save(space, channel, list.filter((one) => one.client_id !== client_id));
  return list.find((one) => one.client_id === client_id);
}

/** Changes one that is still here. */
function change(space: string, channel: string, client_id: string, to: (one: Outgoing) => Outgoing): void {
  save(space, channel, load(space, channel).map((one) => (one.client_id === client_id ? to(one) : one)));
}

export function tryAgain(space: string, channel: string, client_id: string): void {
  change(space, channel, client_id, ({ refused: _, ...one }) => one);
  tries.delete(keyOf(space, channel));
  void flush(space, channel);
}

/** How often in a row sending failed, and when it's tried again: the line to the node may be open all the while. */
const tries = new Map<string, number>();
const timers = new Map<string, ReturnType<typeof setTimeout>>();

function tryLater(space: string, channel: string): void {
  const key = keyOf(space, channel);
  const failed = tries.get(key) ?? 0;
  tries.set(key, failed + 1);
  clearTimeout(timers.get(key));
  timers.set(key, setTimeout(() => void flush(space, channel), waitBefore(failed, Math.random())));
}

const exclusively = async (name: string, work: () => Promise<void>): Promise<void> => {
  if (navigator.locks) await navigator.locks.request(`covey.${name}`, work);
  else await work();
};

/** Sends what waits, in its order, one tab at a time. */
export const flush = (space: string, channel: string): Promise<void> =>
  exclusively(keyOf(space, channel), async () => {
    clearTimeout(timers.get(keyOf(space, channel)));
    for (;;) {
      const next = load(space, channel).find((one) => one.refused === undefined);
      if (!next || !(await deliver(space, channel, next))) return;
    }
  });

const sentListeners = new Set<() => void>();
/** Calls whenever something went out: at once, or long after it was written. */
export function onSent(listener: () => void): () => void {
  sentListeners.add(listener);
  return () => void sentListeners.delete(listener);
}

/** Whether to go on with the next one. */
async function deliver(space: string, channel: string, one: Outgoing): Promise<boolean> {
  const { client_id, text, reply_to } = one;
  try {
    const message = await api.sendMessage(space, channel, reply_to ? { text, client_id, reply_to } : { text, client_id });
    // First into the list, then out of the outbox: it never blinks.
    keepMessage(space, message);
    withdraw(space, channel, client_id);
    tries.delete(keyOf(space, channel));
    for (const listener of sentListeners) listener();
    return true;
  } catch (error) {
    const why = error instanceof Error ? error.message : "It was refused.";
    if (isSignedOut(error)) {
      setSignedOut();
      return false;
    }
    if (isPassing(error)) {
      // Of a node that doesn't answer at all the page tells elsewhere.
      if (!isUnreachable(error) && one.waiting !== why) change(space, channel, client_id, (now) => ({ ...now, waiting: why }));
      tryLater(space, channel);
      return false;
    }
    change(space, channel, client_id, ({ waiting: _, ...now }) => ({ ...now, refused: why }));
    return true;
  }
}

/** Everything that waits in this browser, after the node is back. */
export function flushAll(): void {
  for (let i = 0; i < localStorage.length; i++) {
    const [, space, channel] = /^covey\.outbox\.([^.]+)\.(.+)$/.exec(localStorage.key(i) ?? "") ?? [];
    if (space && channel) void flush(space, channel);
  }
}
