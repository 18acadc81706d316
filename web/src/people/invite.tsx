/** Letting somebody in: a code in big letters, the same as a picture, and who came by it. */
import type { Invite, InviteState, KnownDevice, Role } from "@covey/client";
import { useMutation } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { api } from "../api/client.ts";
import { onNodeEvent } from "../api/live.ts";
import { useDevices, useSpace, useStatus } from "../api/queries.ts";
import { Button } from "../ui/button.tsx";
import { CodeCard, Ring, useSecondsUntil } from "../ui/code.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Choice } from "../ui/field.tsx";
import { Note, Wait } from "../ui/parts.tsx";
import { NearbyLine, SoloNote } from "./nearby.tsx";
import { Words } from "./words.tsx";

type Invited = Exclude<Role, "owner">;

const MAY: Record<Invited, string> = {
  member: "reads and writes",
  guest: "reads only",
  admin: "lets people in and puts them out, too",
};

export const INVITE_SECONDS = 15 * 60;

export default function InviteDialog({ space, onClose }: { space: string; onClose: () => void }) {
  const name = useSpace(space)?.name ?? "the space";
  return (
    <Dialog open onClose={onClose} title={`Invite someone to ${name}`}>
      <InvitePanel space={space} onDone={onClose} />
    </Dialog>
  );
}

interface Newcomer {
  name: string;
  peer_id: string;
}

/** Who joined this space since the panel was opened, or since they were last forgotten. */
function useNewcomer(space: string): [Newcomer | null, () => void] {
  const [who, setWho] = useState<Newcomer | null>(null);
  useEffect(() => onNodeEvent((event) => {
    if (event.event === "member_joined" && event.space === space) setWho({ name: event.name, peer_id: event.peer_id });
  }), [space]);
  return [who, useCallback(() => setWho(null), [])];
}

/** Makes a code for a role; the one before is over with that, so that nobody comes in as what they were not meant to be. */
function useCode(space: string) {
  const last = useRef<Promise<Invite> | null>(null);
  return useMutation({
    mutationFn: (as: Invited) => {
      const before = last.current;
      const made = api.invite(space, as);
      last.current = made;
      // One that was used or has expired meanwhile is over anyway.
      before?.then(({ id }) => api.withdrawInvite(space, id)).catch(() => {});
      return made;
    },
  });
}

/** How an invitation ended, as soon as it has. */
function useEnd(id: string): InviteState | null {
  const [end, setEnd] = useState<{ id: string; state: InviteState } | null>(null);
  useEffect(() => onNodeEvent((event) => {
    if (event.event === "invite" && event.id === id) setEnd({ id, state: event.state });
  }), [id]);
  return end?.id === id ? end.state : null;
}

const OVER: Record<Exclude<InviteState, "used">, string> = {
  expired: "This code has expired. Nobody can come in by it any more.",
  burnt: "Three wrong guesses have burned this code. Nobody can come in by it any more.",
  withdrawn: "This code was taken back. Nobody can come in by it any more.",
};

export function InvitePanel({ space, onDone }: { space: string; onDone: () => void }) {
  const [role, setRole] = useState<Invited>("member");
  const invite = useCode(space);
  const [newcomer, forget] = useNewcomer(space);
  const { mutate } = invite;
  useEffect(() => mutate(role), [mutate, role]);
  const again = () => mutate(role);
  const another = () => {
    forget();
    again();
  };
  if (newcomer) return <Arrived newcomer={newcomer} onAnother={another} onDone={onDone} />;
  return (
    <>
      <div className="row wrap apart">
        <Choice label="What they may do" value={role} onChange={setRole}
          options={[{ value: "member", label: "Member" }, { value: "guest", label: "Guest" }, { value: "admin", label: "Admin" }]} />
        <span className="soft small">{MAY[role]}</span>
      </div>
      {invite.isError && <Note tone="bad">{invite.error.message}</Note>}
      {invite.isPending && <Wait text="Making a code" />}
      {invite.data && <OpenCode invite={invite.data} onAgain={again} waiting="Waiting for someone on this network, or with the link." />}
    </>
  );
}

/** A code that still works, or an offer of a new one. */
export function OpenCode({ invite, onAgain, waiting }: { invite: Invite; onAgain: () => void; waiting: string }) {
  const left = useSecondsUntil(invite.expires_at);
  const solo = useStatus().data?.network.mode === "solo";
  const told = useEnd(invite.id);
  const end = told === null && left <= 0 ? "expired" : told;
  if (end !== null && end !== "used") {
    return (
      <div className="stack">
        <Note tone="look">{OVER[end]}</Note>
        <Button kind="main" onClick={onAgain}>Make a new code</Button>
      </div>
    );
  }
  return (
    <>
      <CodeCard code={invite.code} link={invite.link} />
      {solo && <SoloNote />}
      <div className="row apart" style={{ gap: 20 }}>
        <Ring left={left} total={INVITE_SECONDS} />
        <Wait text={waiting} />
      </div>
      <NearbyLine />
      <p className="soft small">It works once, for one device, and three wrong guesses burn it. Give it only to the one you mean.</p>
    </>
  );
}

interface ArrivedProps {
  newcomer: Newcomer;
  onAnother: () => void;
  onDone: () => void;
}

function Arrived({ newcomer, onAnother, onDone }: ArrivedProps) {
  const { data } = useDevices();
  const device: KnownDevice | undefined = data?.find((one) => one.peer_id === newcomer.peer_id);
  return (
    <div className="stack" role="status">
      <Note tone="good"><b>{newcomer.name}</b> is here{device && <>, on <bdi>{device.name}</bdi></>}.</Note>
      {device && (
        <>
          <p>To be sure that it is {newcomer.name}, ask for the four words on their screen. They should be:</p>
          <Words words={device.words} big />
          <p className="soft small">Not the same? Put them out again under People. The whole fingerprint is <code>{device.fingerprint}</code>.</p>
        </>
      )}
      <div className="row">
        <Button kind="main" onClick={onDone}>Done</Button>
        <Button onClick={onAnother}>Invite another</Button>
      </div>
    </div>
  );
}
