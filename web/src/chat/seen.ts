/**
 * Up to where somebody has read, told to the node. Each mark is an entry that is kept and goes to everybody, so while messages keep
 * coming one a second is enough: the first at once, the last when the second is over, or the channel is left, or the page hidden.
 */
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";

export const PAUSE_MS = 1000;

interface Reading {
  /** The newest that was seen, until it's told. */
  upto: string | null;
  told: string | null;
  toldAt: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** The channels that are open, by the space and their id. */
const open = new Map<string, Reading>();

const keyOf = (space: string, channel: string): string => `${space} ${channel}`;

export function markSeen(space: string, channel: string, upto: string): void {
  const key = keyOf(space, channel);
  const reading = open.get(key) ?? { upto: null, told: null, toldAt: -Infinity, timer: undefined };
  open.set(key, reading);
  if (upto === (reading.upto ?? reading.told)) return;
  reading.upto = upto;
  // The first too is told by itself: what was seen isn't drawn yet when this is called.
  reading.timer ??= setTimeout(() => flushSeen(space, channel), Math.max(0, reading.toldAt + PAUSE_MS - Date.now()));
}

/** Whether it's about to be told that a channel was read up to here: until then the node counts what came since as unread. */
export const isBeingTold = (space: string, channel: string, upto: string | undefined): boolean =>
  upto !== undefined && open.get(keyOf(space, channel))?.upto === upto;

/** Tells the node now what it isn't told yet. */
export function flushSeen(space: string, channel: string): void {
  const reading = open.get(keyOf(space, channel));
  if (!reading) return;
  clearTimeout(reading.timer);
  reading.timer = undefined;
  const { upto } = reading;
  if (upto === null) return;
  Object.assign(reading, { upto: null, told: upto, toldAt: Date.now() });
  api.markRead(space, channel, upto)
    .then(() => queries.invalidateQueries({ queryKey: keys.channels(space) }))
    // It's told with the next one, or when somebody looks again.
    .catch(() => reading.told === upto && (reading.told = null));
}

/** Whoever comes back has it told anew: of what came late, between what was read, the newest one knows nothing. */
export function leaveSeen(space: string, channel: string): void {
  flushSeen(space, channel);
  open.delete(keyOf(space, channel));
}
