/** One's own devices: what they are called, how to know them, and how to put a lost one out. */
import type { KnownDevice } from "@covey/client";
import { Link2, Pencil, ShieldOff } from "lucide-react";
import { useState, type FormEvent } from "react";
import { api, queries } from "../api/client.ts";
import { spacesOf, useDevices, useStatus } from "../api/queries.ts";
import { openOverlay } from "../frame/overlay-state.ts";
import { Page } from "../frame/page.tsx";
import { names, unturned } from "../lib/format.ts";
import { Button } from "../ui/button.tsx";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { Field } from "../ui/field.tsx";
import { DeviceMark, Note, Wait } from "../ui/parts.tsx";
import { toast } from "../ui/toast.tsx";
import { DeviceState } from "./people.tsx";
import { Words } from "./words.tsx";

export default function Devices() {
  const devices = useDevices();
  const own = devices.data?.filter((device) => device.yours) ?? [];
  return (
    <Page
      title="Your devices"
      lead="Each of them holds all your spaces. The words and the fingerprint stand for a device's key: compare them once, by voice or side by side."
      actions={<Button kind="main" onClick={() => openOverlay({ kind: "link-device" })}><Link2 size={16} aria-hidden />Link a device</Button>}
    >
      {devices.isPending && <Wait text="Looking for your devices" />}
      {devices.isError && <Note tone="bad">{devices.error.message}</Note>}
      {own.length > 0 && (
        <ul className="card" aria-label="Your devices">
          {own.map((device) => <Device key={device.peer_id} device={device} alone={own.length === 1} />)}
        </ul>
      )}
      {own.length === 1 && <Note tone="calm">This is your only device. With a second one you still have everything if this one is lost.</Note>}
    </Page>
  );
}

function Device({ device, alone }: { device: KnownDevice; alone: boolean }) {
  const [asked, setAsked] = useState<"rename" | "revoke" | null>(null);
  // Those that have a place in the rail: private channels and direct conversations are spaces too, and would only be noise here.
  const shown = new Set(spacesOf(useStatus().data).map((space) => space.id));
  const within = device.spaces.filter((space) => shown.has(space.id));
  const revoke = async () => {
    const done = await api.revokeDevice(device.peer_id);
    await queries.invalidateQueries();
    const failed = done.spaces.filter((space) => !space.done);
    toast(failed.length === 0 ? `${device.name} is revoked.` : `${device.name} is revoked, but still in ${names(failed.map((space) => space.name))}: ${failed[0]?.reason ?? ""}`);
  };
  return (
    <li className="person">
      <DeviceMark name={device.name} size={40} />
      <div className="grow stack tight">
        <div className="row wrap apart">
          <h2 className="row wrap"><span className="one-line" dir="auto">{device.name}</span><DeviceState device={device} /></h2>
          <div className="row">
            <Button kind="quiet" onClick={() => setAsked("rename")}><Pencil size={15} aria-hidden />Rename</Button>
            <Button kind="quiet" blocked={alone ? "Your only device can't be revoked." : device.this && "Revoke this one from another device of yours."} onClick={() => setAsked("revoke")}>
              <ShieldOff size={15} aria-hidden />Revoke
            </Button>
          </div>
        </div>
        <p className="soft small">Safety words</p>
        <Words words={device.words} />
        <p className="soft small">Fingerprint <code>{device.fingerprint}</code></p>
        <p className="soft small">{within.length > 0 ? `In ${unturned(names(within.map((space) => space.name), 6))}.` : "In no space yet."}</p>
      </div>
      {asked === "rename" && <Rename device={device} onClose={() => setAsked(null)} />}
      <Confirm open={asked === "revoke"} onClose={() => setAsked(null)} title={`Revoke ${device.name}?`} act="Revoke" onConfirm={revoke}>
        <p>It is put out of all your spaces, and can't come back. What it has got stays on it; nothing that is written from now on can be read by it.</p>
      </Confirm>
    </li>
  );
}

function Rename({ device, onClose }: { device: KnownDevice; onClose: () => void }) {
  const [name, setName] = useState(device.name);
  const [wrong, setWrong] = useState<string | null>(null);
  const save = (event: FormEvent) => {
    event.preventDefault();
    api.renameDevice(device.peer_id, name.trim())
      .then(() => queries.invalidateQueries())
      .then(onClose, (error: Error) => setWrong(error.message));
  };
  return (
    <Dialog open onClose={onClose} title="Rename the device">
      <form className="stack" onSubmit={save}>
        <Field label="Name" value={name} onChange={(event) => setName(event.target.value)} wrong={wrong} hint="All who share a space with you see it." autoFocus />
        <div className="row"><Button type="submit" kind="main" blocked={!name.trim() && "It needs a name."}>Save</Button></div>
      </form>
    </Dialog>
  );
}
