import { useState, type FormEvent } from "react";
import { useLocation } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useMembers } from "../api/queries.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Choice, Field } from "../ui/field.tsx";
import { Avatar, Note } from "../ui/parts.tsx";

type Kind = "public" | "private" | "direct";

const ABOUT: Record<Kind, string> = {
  public: "Everybody in the space can find it, read it and join.",
  private: "Only those whom you add know of it. Nobody else holds a copy, not even encrypted.",
  direct: "Between you and those whom you choose.",
};

export default function NewChannel({ space, onClose }: { space: string; onClose: () => void }) {
  const [kind, setKind] = useState<Kind>("public");
  const [name, setName] = useState("");
  const [topic, setTopic] = useState("");
  const [users, setUsers] = useState<string[]>([]);
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [, go] = useLocation();
  const make = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const channel = kind === "direct" ? await api.direct(space, users) : await api.createChannel(space, { name: name.trim(), private: kind === "private", topic: topic.trim() });
      await queries.invalidateQueries({ queryKey: keys.channels(space) });
      onClose();
      go(`/s/${space}/c/${channel.id}`);
    } catch (error) {
      setWrong(error instanceof Error ? error.message : "It did not work.");
      setBusy(false);
    }
  };
  const blocked = kind === "direct" ? users.length === 0 && "Choose somebody first." : !name.trim() && "It needs a name.";
  return (
    <Dialog open onClose={onClose} title="A new place to talk">
      <form className="stack" onSubmit={(event) => void make(event)}>
        <Choice label="Kind" value={kind} onChange={setKind} options={[{ value: "public", label: "Channel" }, { value: "private", label: "Private channel" }, { value: "direct", label: "Direct" }]} />
        <p className="soft small">{ABOUT[kind]}</p>
        {kind === "direct" ? <People space={space} users={users} onUsers={setUsers} /> : (
          <>
            <Field label="Name" value={name} onChange={(event) => setName(event.target.value)} placeholder="harvest" autoFocus />
            <Field label="What it is about" value={topic} onChange={(event) => setTopic(event.target.value)} placeholder="may be left empty" />
          </>
        )}
        {wrong && <Note tone="bad">{wrong}</Note>}
        <div className="row"><Button type="submit" kind="main" busy={busy} blocked={blocked}>{kind === "direct" ? "Write to them" : "Start it"}</Button></div>
      </form>
    </Dialog>
  );
}

function People({ space, users, onUsers }: { space: string; users: string[]; onUsers: (users: string[]) => void }) {
  const others = (useMembers(space).data ?? []).filter((member) => !member.you);
  if (others.length === 0) return <Note tone="calm">Nobody else is in this space yet.</Note>;
  const toggle = (user: string) => onUsers(users.includes(user) ? users.filter((one) => one !== user) : [...users, user]);
  return (
    <fieldset className="card list" style={{ margin: 0, padding: 0 }}>
      <legend className="hidden-text">With whom</legend>
      {others.map((member) => (
        <label key={member.user_id} className="row" style={{ padding: "10px 14px" }}>
          <input type="checkbox" checked={users.includes(member.user_id)} onChange={() => toggle(member.user_id)} />
          <Avatar id={member.user_id} size={24} /><bdi>{member.name}</bdi>
        </label>
      ))}
    </fieldset>
  );
}
