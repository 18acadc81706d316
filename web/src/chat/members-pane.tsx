/** Who is in a channel, and what can be done with the channel itself. */
import type { Channel } from "@covey/client";
import { LogOut, MessageCircle, X } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useMembers } from "../api/queries.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Avatar } from "../ui/parts.tsx";
import { toastError } from "../ui/toast.tsx";
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
  const [, go] = useLocation();
  const refresh = () => queries.invalidateQueries({ queryKey: keys.channels(space) });
  const write = (user: string) => {
    api.direct(space, [user]).then(async (direct) => {
      await refresh();
      go(`/s/${space}/c/${direct.id}`);
    }, toastError);
  };
  const leave = () => {
    api.leaveChannel(space, channel.id).then(async () => {
      await refresh();
      go(`/s/${space}`);
    }, toastError);
  };
  return (
    <aside className="side" aria-label="People in here" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="talk-head"><h2 className="grow">People</h2><IconButton label="Close the side pane" onClick={onClose}><X size={17} /></IconButton></header>
      <div className="scroll grow" style={{ padding: 16 }}>
        <ul className="stack">
          {channel.members.map((member) => {
            const state = presence.get(member.user) ?? "offline";
            return (
              <li key={member.user} className="row">
                <Avatar id={member.user} />
                <div className="grow"><div className="one-line" dir="auto">{member.name}{member.user === me && <span className="soft"> (you)</span>}</div><div className="row tiny soft"><span className={`presence ${state}`} aria-hidden />{state}{member.role === "admin" && ", admin of the channel"}</div></div>
                {member.user !== me && channel.kind !== "direct" && <IconButton label={`Write to ${member.name}`} onClick={() => write(member.user)}><MessageCircle size={16} /></IconButton>}
              </li>
            );
          })}
        </ul>
        {channel.kind === "private" && <AddMember space={space} channel={channel} onDone={refresh} />}
        {channel.kind !== "direct" && channel.joined && <div style={{ marginTop: 20 }}><Button onClick={leave}><LogOut size={15} aria-hidden />Leave the channel</Button></div>}
      </div>
    </aside>
  );
}

function AddMember({ space, channel, onDone }: { space: string; channel: Channel; onDone: () => Promise<void> }) {
  const [user, setUser] = useState("");
  const others = (useMembers(space).data ?? []).filter((member) => !channel.members.some((one) => one.user === member.user_id));
  if (others.length === 0) return null;
  const add = () => void api.addToChannel(space, channel.id, user).then(() => { setUser(""); return onDone(); }).catch(toastError);
  return (
    <div className="row wrap" style={{ marginTop: 20 }}>
      <select className="input grow" aria-label="Somebody of the space" value={user} onChange={(event) => setUser(event.target.value)}>
        <option value="">Add somebody</option>
        {others.map((member) => <option key={member.user_id} value={member.user_id}>{member.name}</option>)}
      </select>
      <Button onClick={add} blocked={!user && "Choose somebody first."}>Add</Button>
    </div>
  );
}
