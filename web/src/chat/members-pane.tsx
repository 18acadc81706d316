/** About a channel: what it is for, who is in it, and what can be done with it. */
import type { Channel } from "@covey/client";
import { LogOut, MessageCircle, Pencil, X } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useMembers, useSpace, whyReadOnly } from "../api/queries.ts";
import { count } from "../lib/format.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { Avatar } from "../ui/parts.tsx";
import { toastError } from "../ui/toast.tsx";
import { ArchiveButton, ChannelSettings, useMayChange } from "./channel-settings.tsx";
import { usePresence } from "./live-chat.ts";
import { useMe } from "./queries.ts";

interface PaneProps {
  space: string;
  channel: Channel;
  onClose: () => void;
}

export function MembersPane({ space, channel, onClose }: PaneProps) {
  const presence = usePresence(space);
  const me = useMe();
  const mayChange = useMayChange(space, channel);
  const readOnly = whyReadOnly(useSpace(space));
  const [open, setOpen] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const [, go] = useLocation();
  const refresh = () => queries.invalidateQueries({ queryKey: keys.channels(space) });
  const write = (user: string) => {
    api.direct(space, [user]).then(async (direct) => {
      await refresh();
      go(`/s/${space}/c/${direct.id}`);
    }, toastError);
  };
  const leave = async () => {
    await api.leaveChannel(space, channel.id);
    await refresh();
    go(`/s/${space}`);
  };
  // A public one can be joined again at any time; a private one only by being let in.
  const askOrLeave = () => (channel.kind === "private" ? setLeaving(true) : void leave().catch(toastError));
  return (
    <aside className="side" aria-label="About the channel" onKeyDown={(event) => event.key === "Escape" && event.currentTarget.contains(event.target as Node) && onClose()}>
      <header className="talk-head"><h2 className="grow">{channel.kind === "direct" ? "People" : "About the channel"}</h2><IconButton label="Close the side pane" onClick={onClose}><X size={17} /></IconButton></header>
      <div className="scroll grow about">
        {channel.kind !== "direct" && (
          <section className="stack tight" aria-label="What it is about">
            <div className="row apart"><h3>What it is about</h3>{mayChange && <IconButton label="Channel settings" onClick={() => setOpen(true)}><Pencil size={15} /></IconButton>}</div>
            <p className={channel.topic ? "" : "soft"} dir="auto">{channel.topic || "Nobody has said yet."}</p>
            <p className="tiny soft">{channel.kind === "private" ? "Private: only those who are in it hold a copy." : "Open to everybody in the space."}</p>
          </section>
        )}
        <h3>{count(channel.members.length, "person", "people")}</h3>
        <ul className="stack" aria-label="People in here">
          {channel.members.map((member) => {
            const state = presence.get(member.user) ?? "offline";
            return (
              <li key={member.user} className="row">
                <Avatar id={member.user} />
                <div className="grow"><div className="one-line" dir="auto">{member.name}{member.user === me && <span className="soft"> (you)</span>}</div><div className="row tiny soft"><span className={`presence ${state}`} aria-hidden />{state}{member.role === "admin" && ", admin of the channel"}</div></div>
                {member.user !== me && channel.kind !== "direct" && !readOnly && <IconButton label={`Write to ${member.name}`} onClick={() => write(member.user)}><MessageCircle size={16} /></IconButton>}
              </li>
            );
          })}
        </ul>
        {channel.kind === "private" && !readOnly && <AddMember space={space} channel={channel} onDone={refresh} />}
        {channel.kind !== "direct" && !readOnly && (
          <div className="stack" style={{ alignItems: "flex-start" }}>
            {mayChange && <ArchiveButton space={space} channel={channel} />}
            {channel.joined && <Button onClick={askOrLeave}><LogOut size={15} aria-hidden />Leave the channel</Button>}
          </div>
        )}
      </div>
      <Confirm open={leaving} onClose={() => setLeaving(false)} title={`Leave ${channel.name}?`} act="Leave" onConfirm={leave}>
        <p>It is private: to come back, somebody in it has to add you again.</p>
      </Confirm>
      {open && <ChannelSettings space={space} channel={channel} onClose={() => setOpen(false)} />}
    </aside>
  );
}

function AddMember({ space, channel, onDone }: { space: string; channel: Channel; onDone: () => Promise<void> }) {
  const [user, setUser] = useState("");
  const others = (useMembers(space).data ?? []).filter((member) => !channel.members.some((one) => one.user === member.user_id));
  if (others.length === 0) return null;
  const add = () => void api.addToChannel(space, channel.id, user).then(() => { setUser(""); return onDone(); }).catch(toastError);
  return (
    <div className="row wrap">
      <select className="input grow" aria-label="Somebody of the space" value={user} onChange={(event) => setUser(event.target.value)}>
        <option value="">Add somebody</option>
        {others.map((member) => <option key={member.user_id} value={member.user_id}>{member.name}</option>)}
      </select>
      <Button onClick={add} blocked={!user && "Choose somebody first."}>Add</Button>
    </div>
  );
}
