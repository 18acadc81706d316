/** About a channel: what it is for, who is in it, and what can be done with it. */
import type { Channel } from "@covey/client";
import { LogOut, Pencil, X } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useMembers, useSpace, whyReadOnly } from "../api/queries.ts";
import { count } from "../lib/format.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { toast, toastError } from "../ui/toast.tsx";
import { ArchiveButton, ChannelSettings } from "./channel-settings.tsx";
import { ChannelPerson } from "./channel-person.tsx";
import { usePresence } from "./live-chat.ts";
import { useRights } from "./rights.ts";

interface PaneProps {
  space: string;
  channel: Channel;
  onClose: () => void;
}

export function MembersPane({ space, channel, onClose }: PaneProps) {
  const presence = usePresence(space);
  const rights = useRights(space, channel);
  const readOnly = whyReadOnly(useSpace(space));
  const [open, setOpen] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const [, go] = useLocation();
  const refresh = () => queries.invalidateQueries({ queryKey: keys.channels(space) });
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
            <div className="row apart"><h3>What it is about</h3>{rights.manage && <IconButton label="Channel settings" onClick={() => setOpen(true)}><Pencil size={15} /></IconButton>}</div>
            <p className={channel.topic ? "" : "soft"} dir="auto">{channel.topic || "Nobody has said yet."}</p>
            <p className="tiny soft">{channel.kind === "private" ? "Private: only those who are in it hold a copy." : "Open to everybody in the space."}</p>
          </section>
        )}
        <h3>{count(channel.members.length, "person", "people")}</h3>
        <ul className="stack" aria-label="People in here">
          {channel.members.map((member) => <ChannelPerson key={member.user} space={space} channel={channel} member={member} state={presence.get(member.user) ?? "offline"} rights={rights} />)}
        </ul>
        {rights.invite && !channel.archived && <AddMember space={space} channel={channel} onDone={refresh} />}
        {channel.kind !== "direct" && !readOnly && (
          <div className="stack" style={{ alignItems: "flex-start" }}>
            {rights.manage && <ArchiveButton space={space} channel={channel} />}
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
  const add = async () => {
    const name = others.find((one) => one.user_id === user)?.name ?? "They";
    await api.addToChannel(space, channel.id, user);
    setUser("");
    await onDone();
    const now = queries.getQueryData<Channel[] | null>(keys.channels(space))?.find((one) => one.id === channel.id);
    const isIn = channel.kind !== "public" || now?.members.some((one) => one.user === user);
    toast(isIn ? `${name} is in ${channel.name} now.` : `${name} has left ${channel.name} before, and comes back by themself only.`);
  };
  return (
    <div className="row wrap">
      <select className="input grow" aria-label="Somebody of the space" value={user} onChange={(event) => setUser(event.target.value)}>
        <option value="">{channel.kind === "public" ? "Invite somebody" : "Add somebody"}</option>
        {others.map((member) => <option key={member.user_id} value={member.user_id}>{member.name}</option>)}
      </select>
      <Button onClick={() => void add().catch(toastError)} blocked={!user && "Choose somebody first."}>{channel.kind === "public" ? "Invite" : "Add"}</Button>
    </div>
  );
}
