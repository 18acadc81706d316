/** The network at a glance. Everything in it stands in the table beneath as well. */
import type { Peer } from "@covey/client";
import { colourOf } from "../lib/identity.ts";
import { rtt } from "../lib/format.ts";
import { layout } from "./layout.ts";

/** More than these would be a tangle; the table has them all. */
const MOST_DRAWN = 16;

/** Circles to tell near from far by. */
const RINGS = [80, 130] as const;

export function Picture({ you, peers }: { you: string; peers: Peer[] }) {
  const rank = (peer: Peer) => (peer.state === "connected" ? 0 : peer.name ? 1 : 2);
  // A phone has the height that a laptop has in width.
  const narrow = window.matchMedia("(max-width: 760px)").matches;
  const [wide, flat] = narrow ? [1, 0.85] : [1.9, 0.72];
  const drawn = layout([...peers].sort((a, b) => rank(a) - rank(b)).slice(0, MOST_DRAWN), wide, flat);
  // No taller than what is in it, with room for the names below.
  const tall = Math.max(RINGS[1] * flat + 8, ...drawn.map(({ y }) => Math.abs(y) + 42));
  const connected = peers.filter((peer) => peer.state === "connected").length;
  return (
    <svg className="picture" viewBox={narrow ? `-215 ${-tall} 430 ${2 * tall + 20}` : `-380 ${-tall} 760 ${2 * tall + 20}`} role="img" aria-label={`${you} in the middle, connected to ${connected} of ${peers.length} devices`}>
      {RINGS.map((r) => <ellipse key={r} rx={r * wide} ry={r * flat} fill="none" stroke="var(--line)" strokeDasharray="2 6" />)}
      {drawn.map(({ peer, x, y }) => <Line key={peer.peer_id} peer={peer} x={x} y={y} />)}
      {drawn.map(({ peer, x, y }) => <Node key={peer.peer_id} peer={peer} x={x} y={y} />)}
      <circle r="27" fill="var(--accent)" />
      <text y="4" textAnchor="middle" fontWeight="650" style={{ fill: "var(--on-accent)" }}>you</text>
    </svg>
  );
}

interface At {
  peer: Peer;
  x: number;
  y: number;
}

function Line({ peer, x, y }: At) {
  if (peer.state !== "connected") return null;
  const relayed = peer.path === "relayed";
  return (
    <g>
      <line x1="0" y1="0" x2={x} y2={y} stroke={relayed ? "var(--amber)" : "var(--accent)"} strokeWidth="2.500" strokeLinecap="round" />
      {peer.rtt_ms !== null && (
        <text x={x * 0.55} y={y * 0.55 + 4} textAnchor="middle" className="sub on-line">{rtt(peer.rtt_ms)}</text>
      )}
    </g>
  );
}

function Node({ peer, x, y }: At) {
  const colour = colourOf(peer.peer_id);
  const on = peer.state === "connected";
  return (
    <g transform={`translate(${x} ${y})`}>
      <circle r="19" fill={on ? `var(--p${colour}-ground)` : "var(--sunken)"} stroke={on ? `var(--p${colour})` : "var(--line-strong)"} strokeWidth="1.500" strokeDasharray={on ? undefined : "3 4"} />
      <text y="36" textAnchor="middle">{peer.name ?? "stranger"}</text>
      <text y="50" textAnchor="middle" className="sub">{peer.user ?? (on ? "shares no space" : "away")}</text>
    </g>
  );
}
