/** Somebody in a channel: how they are, and what can be done for them or with them here. */
import type { Channel, ChannelMember, Presence } from "@covey/client";
import { MessageCircle, MoreHorizontal, ShieldCheck, ShieldOff, UserMinus } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useSpace, whyReadOnly } from "../api/queries.ts";
import { unturned } from "../lib/format.ts";
import { IconButton } from "../ui/button.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { Menu, type MenuEntry } from "../ui/menu.tsx";
import { Avatar } from "../ui/parts.tsx";
import { toast, toastError } from "../ui/toast.tsx";
import { keepChannel, useMe } from "./queries.ts";
import { useOver, type Rights } from "./rights.ts";

interface PersonProps {
  space: string;
  channel: Channel;
  member: ChannelMember;
  state: Presence["state"];
  rights: Rights;
}

export function ChannelPerson({ space, channel, member, state, rights }: PersonProps) {
  const me = useMe();
  const readOnly = whyReadOnly(useSpace(space));
  const [, go] = useLocation();
  const other = member.user !== me;
  const write = () => {
    api.direct(space, [member.user]).then(async (direct) => {
      await queries.invalidateQueries({ queryKey: keys.channels(space) });
      go(`/s/${space}/c/${direct.id}`);
    }, toastError);
  };
  return (
    <li className="row">
      <Avatar id={member.user} />
      <div className="grow">
        <div className="one-line" dir="auto">{member.name}{!other && <span className="soft"> (you)</span>}</div>
        <div className="row tiny soft"><span className={`presence ${state}`} aria-hidden />{state}{member.role === "admin" && channel.kind !== "direct" && ", admin of the channel"}</div>
      </div>
      {other && channel.kind !== "direct" && !readOnly && <IconButton label={`Write to ${unturned(member.name)}`} onClick={write}><MessageCircle size={16} /></IconButton>}
      {other && rights.manage && <More space={space} channel={channel} member={member} rights={rights} />}
    </li>
  );
}

function More({ space, channel, member, rights }: Omit<PersonProps, "state">) {
  const [asked, setAsked] = useState(false);
  const over = useOver(space, channel, member, rights);
  const name = (role: ChannelMember["role"]) => {
    api.setChannelRole(space, channel.id, member.user, role).then((now) => {
      keepChannel(space, now);
      toast(`${member.name} is ${role === "admin" ? "an admin" : "no admin"} of ${channel.name} now.`);
    }, toastError);
  };
  const putOut = async () => {
    await api.removeFromChannel(space, channel.id, member.user);
    await queries.invalidateQueries({ queryKey: keys.channels(space) });
    toast(`${member.name} is out of ${channel.name}.`);
  };
  const entries: (MenuEntry | null)[] = [
    over.makeAdmin ? { label: "Make them an admin", icon: <ShieldCheck size={16} />, onSelect: () => name("admin") } : null,
    over.takeAdmin ? { label: "No admin any more", icon: <ShieldOff size={16} />, onSelect: () => name("member") } : null,
    over.putOut ? { label: "Put out of the channel", icon: <UserMinus size={16} />, bad: true, onSelect: () => setAsked(true) } : null,
  ];
  if (entries.every((one) => one === null)) return null;
  const label = `What to do with ${unturned(member.name)}`;
  return (
    <>
      <Menu align="end" trigger={<button type="button" className="icon-button" aria-label={label} title={label}><MoreHorizontal size={16} /></button>} entries={entries} />
      <Confirm open={asked} onClose={() => setAsked(false)} title={`Put ${member.name} out of ${channel.name}?`} act="Put them out" onConfirm={putOut}>
        <p>What they have got stays with them; nothing that is written here from now on can be read by them.</p>
      </Confirm>
    </>
  );
}
