/** Where the other devices stand around this one: the nearer, the quicker they answer. */
import type { Peer } from "@covey/client";

export interface Place {
  peer: Peer;
  x: number;
  y: number;
}

const NEAR = 92;
const FAR = 165;

/** From the middle, in the picture's units: logarithmic, since 1 ms and 10 ms differ as much as 10 and 100. */
export function distance(peer: Peer): number {
  if (peer.state !== "connected") return FAR + 12;
  const rtt = Math.max(0.1, peer.rtt_ms ?? 5);
  const part = Math.min(1, Math.max(0, Math.log10(rtt / 0.5) / 3));
  return NEAR + (FAR - NEAR) * part;
}

/** Round the middle in the order of their ids, so that nobody jumps when another one comes or answers slower. */
export function layout(peers: Peer[], wide: number, tall: number): Place[] {
  const sorted = [...peers].sort((a, b) => (a.peer_id < b.peer_id ? -1 : 1));
  return sorted.map((peer, at) => {
    // Beginning at the right: labels have more room beside each other than above.
    const angle = (at / sorted.length) * 2 * Math.PI + (sorted.length > 2 ? Math.PI / 2 / sorted.length : 0);
    const away = distance(peer);
    return { peer, x: Math.cos(angle) * away * wide, y: Math.sin(angle) * away * tall };
  });
}
