/** The channels and direct conversations of a space, with what is unread in them. Nothing where this node has none. */
import type { Channel, Presence } from "@covey/client";
import { Hash, Lock, Plus } from "lucide-react";
import { Link, useLocation } from "wouter";
import { useSpace, whyReadOnly } from "../api/queries.ts";
import { openOverlay } from "../frame/overlay-state.ts";
import { IconButton } from "../ui/button.tsx";
import { usePresence } from "./live-chat.ts";
import { askMessagesAhead, channelTitle, isUnread, useChannels, useMe } from "./queries.ts";

/** Newest first where people talk to each other, by name where they meet. */
const byName = (a: Channel, b: Channel) => a.name.localeCompare(b.name);
const byLast = (a: Channel, b: Channel) => (b.last?.at ?? "").localeCompare(a.last?.at ?? "");

export function ChannelList({ space }: { space: string }) {
  const channels = useChannels(space).data;
  const presence = usePresence(space);
  const me = useMe();
  const [path] = useLocation();
  const readOnly = Boolean(whyReadOnly(useSpace(space)));
  if (!channels) return null;
  const open = channels.filter((channel) => channel.joined && !channel.archived);
  const rooms = open.filter((channel) => channel.kind !== "direct").sort(byName);
  const direct = open.filter((channel) => channel.kind === "direct").sort(byLast);
  const other = channels.filter((channel) => !channel.joined && !channel.archived && channel.kind === "public").sort(byName);
  const archived = channels.filter((channel) => channel.archived && channel.kind !== "direct").sort(byName);
  const add = () => openOverlay({ kind: "new-channel", space });
  return (
    <>
      <div className="head"><h2>Channels</h2>{!readOnly && <IconButton label="New channel" onClick={add}><Plus size={16} /></IconButton>}</div>
      <ul>
        {rooms.map((channel) => <Room key={channel.id} space={space} channel={channel} title={channel.name} />)}
        {rooms.length === 0 && !readOnly && <li><button type="button" className="room" style={{ border: 0, background: "none", width: "100%" }} onClick={add}><Plus size={16} />Start the first one</button></li>}
      </ul>
      {other.length > 0 && (
        <details open={rooms.length === 0}>
          <summary className="room soft">{other.length} more{readOnly ? "" : " to join"}</summary>
          <ul>{other.map((channel) => <Room key={channel.id} space={space} channel={channel} title={channel.name} />)}</ul>
        </details>
      )}
      {archived.length > 0 && (
        <details open={archived.some((channel) => path === `/s/${space}/c/${channel.id}`) || undefined}>
          <summary className="room soft">{archived.length} archived</summary>
          <ul>{archived.map((channel) => <Room key={channel.id} space={space} channel={channel} title={channel.name} />)}</ul>
        </details>
      )}
      {direct.length > 0 && (
        <>
          <div className="head"><h2>Direct</h2></div>
          <ul>{direct.map((channel) => <Room key={channel.id} space={space} channel={channel} title={channelTitle(channel, me)} presence={presenceOf(channel, me, presence)} />)}</ul>
        </>
      )}
    </>
  );
}

function presenceOf(channel: Channel, me: string | null, presence: Map<string, Presence["state"]>): Presence["state"] {
  const others = channel.members.filter((member) => member.user !== me).map((member) => presence.get(member.user) ?? "offline");
  return others.includes("online") ? "online" : others.includes("away") ? "away" : "offline";
}

interface RoomProps {
  space: string;
  channel: Channel;
  title: string;
  presence?: Presence["state"];
}

function Room({ space, channel, title, presence }: RoomProps) {
  const [path] = useLocation();
  const to = `/s/${space}/c/${channel.id}`;
  const unread = isUnread(channel);
  const askAhead = () => askMessagesAhead(space, channel.id);
  const more = [unread ? "unread" : "", channel.mentions > 0 ? `${channel.mentions} for you` : "", presence ?? ""].filter(Boolean).join(", ");
  return (
    <li>
      <Link href={to} className={`room ${unread ? "unread" : ""}`} aria-current={path === to ? "page" : undefined} onPointerEnter={askAhead} onFocus={askAhead}>
        {presence ? <span className={`presence ${presence}`} /> : channel.kind === "private" ? <Lock size={15} /> : <Hash size={15} />}
        <span className="one-line" dir="auto">{title}</span>
        {unread && <span className={`count ${channel.mentions > 0 || presence ? "named" : ""}`}>{channel.unread > 99 ? "99+" : channel.unread}</span>}
        <span className="hidden-text">{more}</span>
      </Link>
    </li>
  );
}
