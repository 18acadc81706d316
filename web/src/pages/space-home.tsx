/** What a space is at a glance. Where there are conversations they are what people come for, so it leads there. */
import type { Channel } from "@covey/client";
import { ChevronRight, Database, Hash, Network, UserPlus, Users } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { healthOf } from "../api/health.ts";
import { useLine } from "../api/live.ts";
import { mayManage, useSpace, useStatus } from "../api/queries.ts";
import { useChannels } from "../chat/queries.ts";
import { lastChannel } from "../frame/last.ts";
import { openInvite, openOverlay } from "../frame/overlay-state.ts";
import { Page } from "../frame/page.tsx";
import { count, sentence } from "../lib/format.ts";
import { Button } from "../ui/button.tsx";
import { Note, Wait } from "../ui/parts.tsx";
import { NotFound } from "./not-found.tsx";

const isPhone = () => window.matchMedia("(max-width: 760px)").matches;

export function SpaceHome({ id }: { id: string }) {
  const status = useStatus();
  const space = useSpace(id);
  const channels = useChannels(id);
  const line = useLine();
  const [, go] = useLocation();
  const joined = channels.data?.filter((channel) => channel.joined && !channel.archived) ?? [];
  const others = channels.data?.filter((channel) => channel.kind === "public" && !channel.joined && !channel.archived) ?? [];
  const first = joined.find((channel) => channel.id === lastChannel(id)) ?? joined[0];
  // On a phone this path is the list of rooms, where people choose themselves.
  useEffect(() => {
    if (first && !isPhone()) go(`/s/${id}/c/${first.id}`, { replace: true });
  }, [first, go, id]);
  if (!space && status.data) return <NotFound />;
  if (!space || channels.isPending || (first && !isPhone())) return <div className="page"><div className="inner"><Wait text="Opening the space" /></div></div>;
  const health = healthOf(status.data, line, status.isError, space);
  const mayInvite = mayManage(space);
  return (
    <Page
      title={space.name}
      lead={`${count(space.members, "person", "people")}. ${sentence(health.why)}`}
      actions={mayInvite && <Button kind="main" onClick={() => openInvite(id)}><UserPlus size={16} aria-hidden />Invite someone</Button>}
    >
      {!space.removed && <Waiting pending={space.pending} />}
      {others.length > 0 && !space.removed && <ToJoin id={id} channels={others} />}
      <div className="tiles two">
        {channels.data && !space.removed && <NewChannelTile id={id} />}
        <Tile to={`/s/${id}/people`} icon={<Users size={20} />} title="People" text="Who is here, on which devices, and what they may do." />
        <Tile to={`/s/${id}/data`} icon={<Database size={20} />} title="Data" text="Lists, inventories, readings: what all members keep together." />
        <Tile to="/network" icon={<Network size={20} />} title="Network" text="Which devices are near, and whether they have everything." />
      </div>
      {space.members === 1 && <FirstSteps id={id} mayInvite={mayInvite} />}
    </Page>
  );
}

/** Whoever has just come in sees where people talk. Looking in comes before joining. */
const ToJoin = ({ id, channels }: { id: string; channels: Channel[] }) => (
  <section className="section" aria-label="Channels to join">
    <h2>Where people talk</h2>
    <ul className="card list">
      {channels.map((channel) => (
        <li key={channel.id}>
          <Link href={`/s/${id}/c/${channel.id}`} className="row to-join">
            <Hash size={18} aria-hidden />
            <span className="grow"><b dir="auto">{channel.name}</b>{channel.topic && <span className="soft small one-line" dir="auto">{channel.topic}</span>}</span>
            <span className="soft small">{count(channel.members.length, "person", "people")}</span>
            <ChevronRight size={16} aria-hidden />
          </Link>
        </li>
      ))}
    </ul>
  </section>
);

const Waiting = ({ pending }: { pending: number }) =>
  pending === 0 ? null : <Note tone="calm">{count(pending, "change")} that you made {pending === 1 ? "is" : "are"} on no other device yet. They go out when one is near.</Note>;

const Tile = ({ to, icon, title, text }: { to: string; icon: ReactNode; title: string; text: string }) => (
  <Link href={to} className="card tile">{icon}<h2>{title}</h2><span>{text}</span></Link>
);

const NewChannelTile = ({ id }: { id: string }) => (
  <button type="button" className="card tile" style={{ textAlign: "left" }} onClick={() => openOverlay({ kind: "new-channel", space: id })}>
    <Hash size={20} /><h2>Start a channel</h2><span>A place to talk, for everybody here or for some.</span>
  </button>
);

function FirstSteps({ id, mayInvite }: { id: string; mayInvite: boolean }) {
  const [hidden, setHidden] = useState(false);
  if (hidden || !mayInvite) return null;
  return (
    <section className="card pad stack" aria-label="First steps">
      <h2>Nobody else is here yet</h2>
      <p className="soft">A space comes alive when a second device is in it: a colleague's, or one of your own. Invite by a code that lives fifteen minutes; it needs no account and no server.</p>
      <div className="row wrap">
        <Button kind="main" onClick={() => openInvite(id)}>Invite someone</Button>
        <Button onClick={() => openOverlay({ kind: "link-device" })}>Link another device of yours</Button>
        <Button kind="quiet" onClick={() => setHidden(true)}>Later</Button>
      </div>
    </section>
  );
}
