/** How this node does, in one word and one tone: the weather, not an error. */
import type { Space, Status } from "@covey/client";
import type { Line } from "./live.ts";

export interface Health {
  tone: "calm" | "good" | "look" | "bad";
  word: string;
  /** The sentence behind the word. */
  why: string;
}

const near = (n: number): string => `${n} near`;

export function healthOf(status: Status | undefined, line: Line, failed: boolean, space?: Space): Health {
  if (line.state === "waiting" || (failed && !status)) {
    return { tone: "bad", word: "no answer", why: "This page can't reach the node on this machine. It tries again by itself." };
  }
  if (!status) return { tone: "calm", word: "starting", why: "The node is starting." };
  if (status.revoked) return { tone: "bad", word: "revoked", why: "This device was revoked by another one of yours." };
  if (status.network.mode === "solo") {
    return { tone: "calm", word: "network off", why: "This node was started without a network. Everything you write is kept here." };
  }
  const connected = status.peers.filter((peer) => peer.state === "connected").length;
  if (space) return healthOfSpace(space, connected);
  if (connected === 0) return alone;
  return { tone: "good", word: `active, ${near(connected)}`, why: `Connected to ${connected} other device${connected === 1 ? "" : "s"}.` };
}

const alone: Health = { tone: "calm", word: "alone", why: "No other device is near. What you write goes out when one is." };

function healthOfSpace(space: Space, connected: number): Health {
  const of = (state: string) => space.sync.filter((sync) => sync.state === state);
  const refused = [...of("refused"), ...of("behind")];
  if (space.removed) return { tone: "look", word: "you are out", why: "You are no longer in this space." };
  if (refused.length > 0) return { tone: "look", word: "needs a look", why: refused[0]?.reason ?? "A device is not in sync." };
  if (of("syncing").length > 0) return { tone: "calm", word: "catching up", why: "Changes are on their way." };
  const here = of("in_sync").length;
  if (here > 0) return { tone: "good", word: `in sync, ${near(Math.min(here, Math.max(connected, here)))}`, why: "Everything is on the devices that are near." };
  return alone;
}
