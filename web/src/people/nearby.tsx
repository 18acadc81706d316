/**
 * Which other devices are in sight while somebody comes in.
 *
 * Who is inviting can't be listed: a device says nothing of an open code on the network, nor its name, before the code was
 * proved to it. What can be told is whether there is anybody at all to find, which is what people wonder about when they wait.
 */
import type { Peer, Status } from "@covey/client";
import { useStatus } from "../api/queries.ts";
import { count, names } from "../lib/format.ts";
import { Note, Pill } from "../ui/parts.tsx";

const inSight = (status: Status): Peer[] => status.peers.filter((peer) => peer.state !== "offline");

/** "bob-phone and 2 others": by name those that share a space with this one, the rest as a number. */
export function whoIsNear(peers: Peer[]): string {
  const known = peers.flatMap((peer) => (peer.name ? [peer.name] : []));
  const strangers = peers.length - known.length;
  if (known.length === 0) return count(strangers, "device");
  return strangers > 0 ? `${known.join(", ")} and ${count(strangers, "other")}` : names(known, 6);
}

/** For whoever wants to come in by a code. */
export function Nearby() {
  const { data } = useStatus();
  if (!data) return null;
  if (data.network.mode === "solo") return <SoloNote />;
  const near = inSight(data);
  if (near.length === 0) {
    return (
      <Note tone="calm">
        No other device with Covey is in sight on this network yet. A code works only within one network; a link also between networks that reach each other.
      </Note>
    );
  }
  return <p className="row wrap soft small"><Pill tone="good">{whoIsNear(near)} in sight</Pill> The code finds the right one by itself. The others learn nothing of it.</p>;
}

/** For whoever waits for somebody. */
export function NearbyLine() {
  const { data } = useStatus();
  if (!data || data.network.mode === "solo") return null;
  const near = inSight(data);
  return <p className="soft small">{near.length === 0 ? "No other device is in sight on this network yet." : `In sight on this network: ${whoIsNear(near)}.`}</p>;
}

export const SoloNote = () => (
  <Note tone="look">This node was started without a network, so no other device can be reached. Start it with <code>covey up --network lan</code>.</Note>
);
