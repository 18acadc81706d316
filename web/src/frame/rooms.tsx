/** What is in a space, beside the spaces: its name and how it stands, its channels, and its other rooms. */
import { ChevronDown, CornerLeftUp, Database, KeyRound, Layers, LogOut, Network, ScrollText, Search, UserPlus, Users } from "lucide-react";
import { useState, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { healthOf } from "../api/health.ts";
import { useLine } from "../api/live.ts";
import { mayManage, useSpace, useStatus } from "../api/queries.ts";
import { ChannelList } from "../chat/channel-list.tsx";
import { useChannels } from "../chat/queries.ts";
import { openInvite } from "./overlay-state.ts";
import { LeaveSpace, RotateKey } from "../people/space-acts.tsx";
import { Menu } from "../ui/menu.tsx";
import { Tip } from "../ui/button.tsx";

export function Rooms({ space }: { space: string | null }) {
  if (!space) return <aside className="rooms" aria-label="Rooms" />;
  return (
    <aside className="rooms" aria-label="Rooms">
      <Head id={space} />
      <nav className="scroll" aria-label="Rooms of the space">
        <ChannelList space={space} />
        <Others space={space} />
        <Within space={space} />
      </nav>
    </aside>
  );
}

function Head({ id }: { id: string }) {
  const status = useStatus();
  const space = useSpace(id);
  const health = healthOf(status.data, useLine(), status.isError, space);
  const [asked, setAsked] = useState<"leave" | "key" | null>(null);
  const [, go] = useLocation();
  const mayInvite = mayManage(space);
  return (
    <header>
      {space?.parent && <Link href={`/s/${space.parent.id}`} className="row tiny soft"><CornerLeftUp size={13} aria-hidden />in {space.parent.name}</Link>}
      <Menu
        trigger={<button type="button" className="space-name"><span className="one-line" dir="auto">{space?.name ?? "Space"}</span><ChevronDown size={15} aria-hidden /></button>}
        entries={[
          mayInvite ? { label: "Invite someone", icon: <UserPlus size={16} />, onSelect: () => openInvite(id) } : null,
          { label: "People", icon: <Users size={16} />, onSelect: () => go(`/s/${id}/people`) },
          { label: "Audit log", icon: <ScrollText size={16} />, onSelect: () => go(`/s/${id}/audit`) },
          mayInvite ? { label: "Change the key", icon: <KeyRound size={16} />, onSelect: () => setAsked("key") } : null,
          ...(space?.removed ? [] : ["line" as const, { label: "Leave the space", icon: <LogOut size={16} />, bad: true, onSelect: () => setAsked("leave") }]),
        ]}
      />
      <Tip text={health.why}>
        <Link href="/network" className={`pill ${health.tone}`}>{health.word}</Link>
      </Tip>
      {space && asked === "leave" && <LeaveSpace space={space} onClose={() => setAsked(null)} />}
      {space && asked === "key" && <RotateKey space={space} onClose={() => setAsked(null)} />}
    </header>
  );
}

function Others({ space }: { space: string }) {
  const hasChat = Boolean(useChannels(space).data);
  return (
    <>
      <div className="head"><h2>Space</h2></div>
      <ul>
        {hasChat && <Room to={`/s/${space}/search`} icon={<Search size={16} />}>Search</Room>}
        <Room to={`/s/${space}/people`} icon={<Users size={16} />}>People</Room>
        <Room to={`/s/${space}/data`} icon={<Database size={16} />}>Data</Room>
        <Room to="/network" icon={<Network size={16} />}>Network</Room>
      </ul>
    </>
  );
}

/** Spaces within this one, but for those that are its private channels and direct conversations: these stand above. */
function Within({ space }: { space: string }) {
  const all = useStatus().data?.spaces ?? [];
  const channels = useChannels(space).data ?? [];
  const talks = new Set(channels.map((channel) => channel.id));
  const within = all.filter((one) => one.parent?.id === space && one.channel !== "direct" && !talks.has(one.id));
  if (within.length === 0) return null;
  return (
    <>
      <div className="head"><h2>Within it</h2></div>
      <ul>{within.map((one) => <Room key={one.id} to={`/s/${one.id}`} icon={<Layers size={16} />}><span className="one-line" dir="auto">{one.name}</span></Room>)}</ul>
    </>
  );
}

function Room({ to, icon, children }: { to: string; icon: ReactNode; children: ReactNode }) {
  const [path] = useLocation();
  return (
    <li>
      <Link href={to} className="room" aria-current={path.startsWith(to) ? "page" : undefined}>{icon}{children}</Link>
    </li>
  );
}
