/**
 * Whether somebody is at this browser, told to the node. It takes for away whom it hasn't heard of for five minutes, so it's told again
 * while somebody reads, scrolls or moves the mouse; and since all tabs are one person, none says "away" while another one is in use.
 */
import type { OwnPresence } from "@covey/client";
import { AWAY_MS, watchActivity, type WatchedPage } from "../lib/looking.ts";
import { read, write } from "../lib/store.ts";

/** Telling it more often than this says nothing new. */
export const TELL_EVERY_MS = 60_000;
/** The other tabs needn't know it better than this. */
export const SHARE_EVERY_MS = 10_000;

const SHARED = "active";

export interface PresenceWatch {
  /** Whether there is a node to be told. */
  setOpen: (open: boolean) => void;
  /** What the page did by itself makes whoever it belongs to present for the node: it's told again where nobody is. */
  acted: () => void;
  stop: () => void;
}

export function watchPresence(tell: (state: OwnPresence) => Promise<unknown>, page: WatchedPage = document): PresenceWatch {
  let own = 0;
  let shared = 0;
  let told: OwnPresence | null = null;
  let toldAt = 0;
  let open = false;
  let idle: ReturnType<typeof setTimeout> | undefined;

  const say = (state: OwnPresence) => {
    told = state;
    toldAt = Date.now();
    tell(state).catch(() => (told = null));
  };
  /** Until when somebody counts as being there, at this tab or another one. */
  const until = (): number => {
    const other = Number(read(SHARED)) || 0;
    return Math.max(own + AWAY_MS, other > own ? other + AWAY_MS + SHARE_EVERY_MS : 0);
  };
  const look = () => {
    clearTimeout(idle);
    const left = until() - Date.now();
    if (left > 0) idle = setTimeout(look, left);
    else {
      idle = undefined;
      if (open && told !== "away") say("away");
    }
  };
  const touch = () => {
    own = Date.now();
    if (own - shared >= SHARE_EVERY_MS) {
      shared = own;
      write(SHARED, String(own));
    }
    if (open && (told !== "online" || own - toldAt >= TELL_EVERY_MS)) say("online");
    if (idle === undefined) look();
  };
  const stopWatching = watchActivity(touch, page);
  // Whoever opens the page is there.
  if (page.visibilityState === "visible") touch();
  return {
    setOpen: (now) => {
      open = now;
      if (!now) return;
      // A node that was away, or is another one since, has to be told anew.
      told = null;
      if (until() > Date.now()) say("online");
      look();
    },
    acted: () => {
      if (open && told === "away" && until() <= Date.now()) say("away");
    },
    stop: () => {
      clearTimeout(idle);
      stopWatching();
    },
  };
}
