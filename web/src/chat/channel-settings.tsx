/** What a channel is called and what it is about, and putting it away. For its admins and those of the space. */
import type { Channel } from "@covey/client";
import { Archive, ArchiveRestore } from "lucide-react";
import { useState, type FormEvent } from "react";
import { api } from "../api/client.ts";
import { Button } from "../ui/button.tsx";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { Field } from "../ui/field.tsx";
import { Note } from "../ui/parts.tsx";
import { toast, toastError } from "../ui/toast.tsx";
import { keepChannel } from "./queries.ts";

type Change = { name?: string; topic?: string; archived?: boolean };

async function change(space: string, channel: Channel, to: Change): Promise<void> {
  keepChannel(space, await api.changeChannel(space, channel.id, to));
}

interface SettingsProps {
  space: string;
  channel: Channel;
  onClose: () => void;
}

export function ChannelSettings({ space, channel, onClose }: SettingsProps) {
  const [name, setName] = useState(channel.name);
  const [topic, setTopic] = useState(channel.topic);
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const renamed = channel.kind === "public" && name.trim() !== channel.name;
  const described = topic.trim() !== channel.topic;
  const save = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setWrong(null);
    try {
      await change(space, channel, { ...(renamed && { name: name.trim() }), ...(described && { topic: topic.trim() }) });
      onClose();
    } catch (error) {
      setWrong(error instanceof Error ? error.message : "It did not work.");
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={onClose} title="Channel settings">
      <form className="stack" onSubmit={(event) => void save(event)}>
        {channel.kind === "public" ? (
          <Field label="Name" value={name} onChange={(event) => setName(event.target.value)} dir="auto" autoComplete="off" />
        ) : (
          <div className="field"><span className="label">Name</span><p dir="auto">{channel.name}</p><p className="hint">A private channel keeps the name that it was given.</p></div>
        )}
        <Field label="What it is about" value={topic} onChange={(event) => setTopic(event.target.value)} hint="One line. It stands beside the name." dir="auto" autoComplete="off" />
        {wrong && <Note tone="bad">{wrong}</Note>}
        <div className="row"><Button type="submit" kind="main" busy={busy} blocked={(!name.trim() && "It needs a name.") || (!renamed && !described && "Nothing is changed yet.")}>Save</Button></div>
      </form>
    </Dialog>
  );
}

/** Into the archive after a question, and back without one: that does no harm. */
export function ArchiveButton({ space, channel }: Omit<SettingsProps, "onClose">) {
  const [asked, setAsked] = useState(false);
  if (channel.archived) {
    const back = () => void change(space, channel, { archived: false }).then(() => toast(`#${channel.name} is open again.`), toastError);
    return <Button onClick={back}><ArchiveRestore size={15} aria-hidden />Bring it back</Button>;
  }
  const archive = async () => {
    await change(space, channel, { archived: true });
    toast(`#${channel.name} is archived.`);
  };
  return (
    <>
      <Button onClick={() => setAsked(true)}><Archive size={15} aria-hidden />Archive the channel</Button>
      <Confirm open={asked} onClose={() => setAsked(false)} title={`Archive #${channel.name}?`} act="Archive it" onConfirm={archive}>
        <p>Nobody can write in it any more. Everything in it stays and can be read and searched, and you can bring it back.</p>
      </Confirm>
    </>
  );
}
