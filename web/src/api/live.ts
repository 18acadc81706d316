/** The node's events, turned into what has to be fetched again; and how the line to the node is. */
import { EventLink, isMissing, type LinkState, type NodeEvent } from "@covey/client";
import { useSyncExternalStore } from "react";
import { api, isSignedOut, queries } from "./client.ts";
import { isRunning, keepJob } from "./jobs.ts";
import { keys } from "./keys.ts";
import { setSignedOut } from "./session.ts";

export interface Line {
  state: LinkState;
  /** When the next attempt is made. */
  retryAt: number | null;
  /** Whether it was ever open since the page was loaded. */
  wasOpen: boolean;
}

let line: Line = { state: "connecting", retryAt: null, wasOpen: false };
const listeners = new Set<() => void>();
const eventListeners = new Set<(event: NodeEvent) => void>();

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};
export const useLine = (): Line => useSyncExternalStore(subscribe, () => line);

/** Whoever wants more of an event than a fetch: the conversation, the list of who is typing. */
export function onNodeEvent(listener: (event: NodeEvent) => void): () => void {
  eventListeners.add(listener);
  return () => void eventListeners.delete(listener);
}

/** An import makes hundreds of events in a second; what they make stale is asked for once. */
const GATHER_MS = 120;
const gathered = new Map<string, readonly unknown[]>();

/** Marks what is kept under this name, and under longer ones, to be asked for again. */
export function stale(...key: readonly unknown[]): void {
  if (gathered.size === 0) setTimeout(askAgain, GATHER_MS);
  gathered.set(JSON.stringify(key), key);
}

function askAgain(): void {
  const all = [...gathered.values()];
  gathered.clear();
  for (const queryKey of all) void queries.invalidateQueries({ queryKey });
}

/** What an event makes untrue of what is here. */
function forget(event: NodeEvent): void {
  switch (event.event) {
    case "reset":
      return void queries.invalidateQueries();
    case "records_changed":
      stale("collections");
      stale("records");
      return stale(...keys.status);
    case "invite":
      return stale(...keys.space(event.space));
    case "members_changed":
    case "member_joined":
    case "removed":
      stale(...keys.space(event.space));
      stale(...keys.devices);
      // A private channel is a space: nothing is told of it to whoever was put out of it.
      stale("channels");
      return stale(...keys.status);
    case "space_added":
    case "revoked":
      stale(...keys.devices);
      return stale(...keys.status);
    case "delivered":
      stale("record-sync");
      return stale(...keys.status);
    case "message":
    case "typing":
    case "presence":
    case "channel":
      return;
    case "job":
      keepJob(event.job);
      // Nearly all that was asked for before was another user's.
      return event.job.kind === "link" && !isRunning(event.job) ? stale() : undefined;
    default:
      stale(...keys.devices);
      return stale(...keys.status);
  }
}

const link = new EventLink({
  url: () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/events`,
  onEvent: (event) => {
    forget(event);
    for (const listener of eventListeners) listener(event);
  },
  onState: (state, retryAt) => {
    const back = state === "open" && line.state !== "open" && line.wasOpen;
    line = { state, retryAt, wasOpen: line.wasOpen || state === "open" };
    for (const listener of listeners) listener();
    // What was asked for while nobody answered has failed meanwhile.
    if (back) void queries.invalidateQueries();
    if (state === "waiting") void askWhy();
  },
});

/** A WebSocket doesn't tell why it was refused; a request does. */
async function askWhy(): Promise<void> {
  try {
    await api.status();
  } catch (error) {
    if (isSignedOut(error)) setSignedOut();
    else if (!isMissing(error)) queries.setQueryData(keys.unreachable, Date.now());
  }
}

export const retryNow = (): void => link.retryNow();

export function startLive(): () => void {
  const awake = () => document.visibilityState === "visible" && link.retryNow();
  window.addEventListener("online", awake);
  document.addEventListener("visibilitychange", awake);
  link.start();
  return () => {
    window.removeEventListener("online", awake);
    document.removeEventListener("visibilitychange", awake);
    link.stop();
  };
}
