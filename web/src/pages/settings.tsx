/** The choices of this browser, who one is, and a copy of everything for a bad day. */
import { useMutation } from "@tanstack/react-query";
import { useState, type FormEvent, type ReactNode } from "react";
import { Link } from "wouter";
import { api } from "../api/client.ts";
import { followJob, isRunning, useJobs } from "../api/jobs.ts";
import { renameMe, useProfile } from "../api/profile.ts";
import { useStatus } from "../api/queries.ts";
import { openOverlay } from "../frame/overlay-state.ts";
import { Page } from "../frame/page.tsx";
import { bytes, count } from "../lib/format.ts";
import { askToNotify, notifications, setNotifications, useNotifications } from "../lib/notify.ts";
import { useDensity, useSingleKeys, useTheme } from "../lib/settings.ts";
import { Button } from "../ui/button.tsx";
import { Choice, Field } from "../ui/field.tsx";
import { Avatar, Bar, Note } from "../ui/parts.tsx";
import { toast, toastError } from "../ui/toast.tsx";
import { backupWrong } from "./backup.ts";

export default function Settings() {
  return (
    <Page title="Settings">
      <You />
      <Looks />
      <Backup />
      <About />
    </Page>
  );
}

const Section = ({ title, children }: { title: string; children: ReactNode }) => (
  <section className="section" aria-label={title}><h2>{title}</h2><div className="card">{children}</div></section>
);

const Setting = ({ title, text, children }: { title: string; text?: string; children: ReactNode }) => (
  <div className="setting"><div><h3>{title}</h3>{text && <p>{text}</p>}</div>{children}</div>
);

function You() {
  const { data } = useStatus();
  const profile = useProfile();
  if (!data) return null;
  return (
    <Section title="You">
      <div className="setting">
        <div className="row"><Avatar id={data.node.user_id} size={40} /><div><h3 dir="auto">{data.node.user}</h3><p>on <bdi>{data.node.device}</bdi>. The colour and the letters come from your key, so nobody else can have them by taking your name.</p></div></div>
        <Link className="button plain" href="/devices">Your devices</Link>
      </div>
      {profile.data && <OwnName key={profile.data.name} name={profile.data.name} />}
    </Section>
  );
}

function OwnName({ name: before }: { name: string }) {
  const [name, setName] = useState(before);
  const change = useMutation({ mutationFn: renameMe, onSuccess: () => toast("Your name is changed.") });
  const save = (event: FormEvent) => {
    event.preventDefault();
    change.mutate(name.trim());
  };
  return (
    <form className="setting" onSubmit={save}>
      <div className="grow">
        <Field label="Your name" value={name} onChange={(event) => setName(event.target.value)} wrong={change.error?.message} hint="All who share a space with you see it." autoComplete="name" dir="auto" />
      </div>
      <Button type="submit" busy={change.isPending} blocked={(!name.trim() && "Say what you are called.") || (name.trim() === before && "Nothing is changed yet.")}>Change it</Button>
    </form>
  );
}

function Looks() {
  const [theme, setTheme] = useTheme();
  const [density, setDensity] = useDensity();
  const [keys, setKeys] = useSingleKeys();
  const wanted = useNotifications();
  const [refused, setRefused] = useState(false);
  const notify = (value: "on" | "off") => {
    if (value === "off") return setNotifications(false);
    void askToNotify().then((may) => setRefused(!may));
  };
  return (
    <Section title="This browser">
      <Setting title="Theme"><Choice label="Theme" value={theme} onChange={setTheme} options={[{ value: "system", label: "System" }, { value: "light", label: "Light" }, { value: "dark", label: "Dark" }]} /></Setting>
      <Setting title="Density" text="Compact fits more on a screen."><Choice label="Density" value={density} onChange={setDensity} options={[{ value: "comfortable", label: "Comfortable" }, { value: "compact", label: "Compact" }]} /></Setting>
      <Setting title="Notifications" text={notifications() ? "When you are mentioned or written to, and do not look at this page." : "This browser has none."}>
        <Choice label="Notifications" value={wanted ? "on" : "off"} onChange={notify} options={[{ value: "on", label: "On" }, { value: "off", label: "Off" }]} />
      </Setting>
      {refused && <div className="setting"><Note tone="look">The browser does not allow it. It can be changed in the browser's settings for this page.</Note></div>}
      <Setting title="Single keys" text="A letter alone leads somewhere, where nothing is being written. Ctrl-K works in any case.">
        <Choice label="Single keys" value={keys ? "on" : "off"} onChange={(value) => setKeys(value === "on")} options={[{ value: "on", label: "On" }, { value: "off", label: "Off" }]} />
      </Setting>
      <Setting title="Keys" text="Everything can be reached without a mouse."><Button onClick={() => openOverlay({ kind: "shortcuts" })}>Show the keys</Button></Setting>
    </Section>
  );
}

function Backup() {
  const [file, setFile] = useState("");
  const [passphrase, setPassphrase] = useState("");
  const [again, setAgain] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  // The newest, whichever page began it: it goes on when this one is left.
  const job = useJobs()?.findLast((one) => one.kind === "backup");
  const run = async (event: FormEvent) => {
    event.preventDefault();
    setWrong(null);
    setAsking(true);
    try {
      await api.startBackup(file.trim(), passphrase);
      await followJob();
      setPassphrase("");
    } catch (error) {
      setWrong(error instanceof Error ? error.message : "It did not work.");
    } finally {
      setAgain("");
      setAsking(false);
    }
  };
  const stop = () => void (job && api.cancelJob(job.id).catch(toastError));
  const busy = asking || isRunning(job);
  const told = !busy && (wrong ?? (job && backupWrong(job)));
  const blocked = (!file.trim() && "Say where the file is to be.") || (passphrase.length < 8 && "The passphrase needs eight characters or more.") || (passphrase !== again && "The two passphrases differ.");
  return (
    <section className="section" aria-label="Backup">
      <h2>Backup</h2>
      <form className="card pad stack" onSubmit={(event) => void run(event)}>
        <p className="soft small">Everything on this device, with its keys, in one encrypted file on this machine. Without the passphrase nobody can open it, you neither. <code>covey restore</code> brings it back.</p>
        <Field label="File" value={file} onChange={(event) => setFile(event.target.value)} placeholder="/home/ada/covey.backup" className="mono" hint="A full path on this machine, where nothing is yet." />
        <div className="tiles">
          <Field label="Passphrase" type="password" autoComplete="new-password" value={passphrase} onChange={(event) => setPassphrase(event.target.value)} />
          <Field label="The same once more" type="password" autoComplete="new-password" value={again} onChange={(event) => setAgain(event.target.value)} />
        </div>
        {job && isRunning(job) && <div className="stack tight"><Bar done={job.done} total={job.total ?? 1} label="Backup" /><span className="soft small">{job.stage} {bytes(job.done)} of {bytes(job.total ?? 0)}. It goes on when you leave this page.</span></div>}
        {!busy && !wrong && job?.result?.kind === "backup" && <Note tone="good">The backup is made and read back: <code>{job.target}</code>, {bytes(job.result.bytes)}, with {count(job.result.spaces, "space")} and {count(job.result.records, "record")}.</Note>}
        {told && <Note tone="bad">{told}</Note>}
        <div className="row"><Button type="submit" kind="main" busy={busy} blocked={!busy && blocked}>Make the backup</Button>{isRunning(job) && <Button onClick={stop}>Stop</Button>}</div>
      </form>
    </section>
  );
}

function About() {
  const { data } = useStatus();
  return (
    <Section title="About">
      <Setting title={`Covey ${data?.node.version ?? ""}`} text="A team's room on your own machines. Free software under the MIT or Apache 2.0 licence, at your choice.">
        <Link className="button plain" href="/network">How the network stands</Link>
      </Setting>
    </Section>
  );
}
