/** For each device: in sync, or a sentence that says why not. */
import type { Peer, Space } from "@covey/client";
import { count, sentence } from "../lib/format.ts";

export interface Standing {
  tone: "good" | "calm" | "look";
  word: string;
  reasons: string[];
}

export function standingWith(peer: Peer, spaces: Space[]): Standing {
  const shared = spaces.flatMap((space) => space.sync.filter((sync) => sync.peer_id === peer.peer_id).map((sync) => ({ space, sync })));
  const visible = shared.filter(({ space }) => !space.removed);
  if (visible.length === 0) return { tone: "calm", word: "nothing shared", reasons: ["It shares no space with this one, so nothing goes to and fro."] };
  const off = visible.filter(({ sync }) => sync.state !== "in_sync");
  if (off.length === 0) return { tone: "good", word: "in sync", reasons: [] };
  const needsLook = off.some(({ sync }) => sync.state === "behind" || sync.state === "refused");
  const syncing = off.some(({ sync }) => sync.state === "syncing");
  const reasons = off.map(({ space, sync }) => {
    const lacks = [
      sync.missing_there > 0 ? `it lacks ${count(sync.missing_there, "change")}` : "",
      sync.missing_here > 0 ? `${count(sync.missing_here, "change")} of it ${sync.missing_here === 1 ? "is" : "are"} not here` : "",
    ].filter(Boolean).join(", ");
    return sentence(`${space.name}: ${sync.reason ?? sync.state.replace("_", " ")}${lacks ? `; ${lacks}` : ""}`);
  });
  return { tone: needsLook ? "look" : "calm", word: needsLook ? "needs a look" : syncing ? "catching up" : "waits", reasons };
}
