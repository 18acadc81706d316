/** Who is in a space, what they may do, and by which devices. */
import type { KnownDevice, Member, Role, Space } from "@covey/client";
import { ChevronRight, ScrollText, UserPlus } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { mayManage, useDevices, useMembers, useSpace } from "../api/queries.ts";
import { openInvite } from "../frame/overlay-state.ts";
import { Page } from "../frame/page.tsx";
import { ago, count } from "../lib/format.ts";
import { Button } from "../ui/button.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { Avatar, DeviceMark, Note, Pill, Wait } from "../ui/parts.tsx";
import { toast, toastError } from "../ui/toast.tsx";
import { Words } from "./words.tsx";

const ROLES: Role[] = ["guest", "member", "admin", "owner"];
type Powerful = Extract<Role, "admin" | "owner">;
const POWER: Record<Powerful, string> = {
  admin: "Admins let people in and put them out, change the space's key, and delete what others wrote in its channels.",
  owner: "Owners may do everything, as you may: put others out, and you too.",
};
const RANK: Record<Role, number> = { guest: 0, member: 1, admin: 2, owner: 3 };

export default function People({ space: id }: { space: string }) {
  const space = useSpace(id);
  const members = useMembers(id);
  const mayInvite = mayManage(space);
  return (
    <Page
      title="People"
      lead={`Everybody in ${space?.name ?? "this space"}. Guests read, members write too, admins let people in and out, owners may do everything.`}
      actions={
        <>
          <Link className="button plain" href={`/s/${id}/audit`}><ScrollText size={16} aria-hidden />Audit log</Link>
          <Button kind="main" blocked={space?.removed ? "You are no longer in this space." : !mayInvite && "Only admins and owners let people in."} onClick={() => openInvite(id)}>
            <UserPlus size={16} aria-hidden />Invite
          </Button>
        </>
      }
    >
      {members.isPending && <Wait text="Asking who is here" />}
      {members.isError && <Note tone="bad">{members.error.message}</Note>}
      {members.data && space && (
        <ul className="card" aria-label="Members">
          {members.data.map((member) => <Person key={member.user_id} member={member} space={space} />)}
        </ul>
      )}
      {members.data?.length === 1 && mayInvite && <Note tone="calm">You are alone here. Invite somebody by a code: they need nothing but Covey and the code.</Note>}
    </Page>
  );
}

function Person({ member, space }: { member: Member; space: Space }) {
  const [removing, setRemoving] = useState(false);
  const mine = space.role ? RANK[space.role] : 0;
  const mayChange = mayManage(space) && !member.you && mine >= RANK[member.role];
  const remove = async () => {
    await api.removeMember(space.id, member.user_id);
    await queries.invalidateQueries({ queryKey: keys.space(space.id) });
    toast(`${member.name} is out of ${space.name}, and its key is changed.`);
  };
  return (
    <li className="person">
      <Avatar id={member.user_id} size={40} />
      <div className="grow">
        <div className="row wrap apart">
          <h2 className="row"><span className="one-line" dir="auto">{member.name}</span>{member.you && <span className="pill bare">you</span>}</h2>
          <div className="row">
            <RoleOf member={member} space={space} mayChange={mayChange} most={mine} />
            {mayChange && <Button kind="quiet" onClick={() => setRemoving(true)}>Remove</Button>}
          </div>
        </div>
        <Devices devices={member} />
      </div>
      <Confirm open={removing} onClose={() => setRemoving(false)} title={`Remove ${member.name} from ${space.name}?`} act={`Remove ${member.name}`} onConfirm={remove}>
        <p>With {count(member.devices.length, "device")}. What they have got stays with them; nothing that is written from now on can be read by them.</p>
      </Confirm>
    </li>
  );
}

interface RoleOfProps {
  member: Member;
  space: Space;
  mayChange: boolean;
  /** One's own rank: nobody gives more than they have. */
  most: number;
}

function RoleOf({ member, space, mayChange, most }: RoleOfProps) {
  const [busy, setBusy] = useState(false);
  const [wanted, setWanted] = useState<Powerful>("admin");
  const [asked, setAsked] = useState(false);
  if (!mayChange) return <span className="pill bare">{member.role}</span>;
  const change = async (role: Role) => {
    await api.setRole(space.id, member.user_id, role);
    await queries.invalidateQueries({ queryKey: keys.space(space.id) });
    toast(`${member.name} is ${role} now.`);
  };
  const choose = (role: Role) => {
    // The arrow keys pass through all of them: what gives power over others is asked about first.
    if (role === "admin" || role === "owner") {
      setWanted(role);
      return setAsked(true);
    }
    setBusy(true);
    void change(role).catch(toastError).finally(() => setBusy(false));
  };
  return (
    <>
      <select className="input" aria-label={`Role of ${member.name}`} value={member.role} disabled={busy} onChange={(event) => choose(event.target.value as Role)}>
        {ROLES.filter((role) => RANK[role] <= most).map((role) => <option key={role}>{role}</option>)}
      </select>
      <Confirm open={asked} onClose={() => setAsked(false)} title={`Make ${member.name} an ${wanted} of ${space.name}?`} act={`Make them an ${wanted}`} onConfirm={() => change(wanted)}>
        <p>{POWER[wanted]}</p>
      </Confirm>
    </>
  );
}

function Devices({ devices: { devices } }: { devices: Member }) {
  const known = useDevices().data;
  return (
    <ul className="devices-of">
      {devices.map((device) => {
        const more: KnownDevice | undefined = known?.find((one) => one.peer_id === device.peer_id);
        return (
          <li key={device.peer_id}>
            <details>
              <summary className="row wrap">
                <DeviceMark name={device.name} size={24} />
                <span className="one-line" dir="auto">{device.name}</span>
                <DeviceState device={more} />
                <span className="row soft tiny" style={{ marginLeft: "auto" }}>Safety words<ChevronRight size={14} className="turn" aria-hidden /></span>
              </summary>
              <div className="stack" style={{ padding: "10px 0 4px 32px" }}>
                <Words words={device.words} />
                <p className="soft small">Fingerprint <code>{device.fingerprint}</code>. The words are its beginning, to be compared by voice.</p>
              </div>
            </details>
          </li>
        );
      })}
    </ul>
  );
}

export function DeviceState({ device }: { device: Pick<KnownDevice, "state" | "last_seen"> | undefined }) {
  if (!device) return null;
  if (device.state === "here") return <Pill tone="good">this device</Pill>;
  if (device.state === "connected") return <Pill tone="good">near</Pill>;
  if (device.last_seen) return <Pill tone="calm">was here {ago(device.last_seen)}</Pill>;
  return <Pill tone="calm">{device.state === "reachable" ? "reachable" : "away"}</Pill>;
}
