/** Coming in by a code, a link, or a QR code before the camera. */
import type { Job } from "@covey/client";
import { ArrowLeft, ScanQrCode } from "lucide-react";
import { lazy, Suspense, useEffect, useEffectEvent, useRef, useState, type FormEvent } from "react";
import { api, queries } from "../api/client.ts";
import { followJob, isRunning, useJobs } from "../api/jobs.ts";
import { count, sentence } from "../lib/format.ts";
import { kindOfCode, tidyCode } from "../lib/join-code.ts";
import { Nearby } from "../people/nearby.tsx";
import { Button } from "../ui/button.tsx";
import { Field } from "../ui/field.tsx";
import { Note, Wait } from "../ui/parts.tsx";

const Scan = lazy(() => import("../scan/scan.tsx"));

/** How long a join looks for the other side. It has to be found first, and may be on its way here. */
const JOIN_SECONDS = 60;

export const Back = ({ onBack }: { onBack: () => void }) => <Button kind="quiet" onClick={onBack}><ArrowLeft size={16} aria-hidden />Back</Button>;

/** Into somebody's space, or as one more device of one's own. */
export type JoinKind = "join" | "device";

const LOOKING = "Looking for the other side, which lets this device in. This takes up to a minute.";

type End = { space: string } | { wrong: string };

/** Where one is once a job has got so far: in the space that was joined; as somebody's device in the first of their spaces, if it's known by then. */
function spaceOf({ kind, target, result }: Job): string {
  if (kind !== "link") return target;
  return result?.kind === "link" ? result.spaces[0]?.id ?? "" : "";
}

/** What has come by now, of which it isn't known how much it will be. */
const soFar = ({ kind, done }: Job): string =>
  kind === "link" ? `This device is one of yours now. ${count(done, "record")} of your spaces came so far.` : `The space is here. ${count(done, "record")} of it came so far.`;

/** Follows a job until it has ended. Once it has a target one is in, though not everything may have come. */
function useJoin(id: string | null, onEnd: (end: End) => void): Job | undefined {
  const jobs = useJobs();
  const job = jobs?.find((one) => one.id === id);
  const end = useEffectEvent(onEnd);
  useEffect(() => {
    if (id === null || !jobs || isRunning(job)) return;
    if (!job) end({ wrong: "The node was started again meanwhile. Look whether your spaces are there, or try again." });
    else if (job.target) end({ space: spaceOf(job) });
    else end({ wrong: job.state === "cancelled" ? "It was cancelled." : sentence(job.error?.detail ?? "It did not work.") });
  }, [id, job, jobs]);
  return job;
}

interface JoinProps {
  asDevice: boolean;
  onBack: () => void;
  onDone: (space: string) => void;
  onOther: (kind: JoinKind) => void;
}

export function Join({ asDevice, onBack, onDone, onOther }: JoinProps) {
  const [code, setCode] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const [joining, setJoining] = useState<string | null>(null);
  const [scanning, setScanning] = useState(false);
  const act = useRef<HTMLButtonElement>(null);
  const kind = kindOfCode(code);
  const other = (asDevice && kind === "space-link") || (!asDevice && kind === "device-link");
  const fail = (error: unknown) => setWrong(error instanceof Error ? error.message : "It did not work.");
  const arrive = async (space: string) => {
    await queries.invalidateQueries();
    onDone(space);
  };
  const job = useJoin(joining, (end) => {
    setJoining(null);
    if ("space" in end) void arrive(end.space);
    else setWrong(end.wrong);
  });
  const busy = asking || joining !== null;
  const join = async (event: FormEvent) => {
    event.preventDefault();
    setWrong(null);
    setAsking(true);
    try {
      const begun = await (asDevice ? api.startJoinAsDevice : api.startJoin)(tidyCode(code), JOIN_SECONDS);
      await followJob();
      setJoining(begun.id);
    } catch (error) {
      fail(error);
    } finally {
      setAsking(false);
    }
  };
  const cancel = () => {
    // Whatever becomes of it is told by the job itself.
    if (joining) api.cancelJob(joining).catch(fail);
  };
  const back = () => {
    cancel();
    onBack();
  };
  // What was read is shown, and joined when the user says so: a code on a wall may be anybody's.
  const take = (text: string) => {
    setScanning(false);
    setWrong(null);
    setCode(text);
    requestAnimationFrame(() => act.current?.focus());
  };
  return (
    <form className="stack wide" onSubmit={(event) => void join(event)}>
      <div className="stack tight">
        <h1>{asDevice ? "Another device of mine" : "Join a space"}</h1>
        <p className="soft">{asDevice ? "On your other device choose \"Link a device\". It shows a code; give it here." : "Type the code, paste the link, or scan the QR code from the other screen."}</p>
      </div>
      <div className="stack">
        <Field label="Code or link" value={code} onChange={(event) => setCode(event.target.value)} wrong={wrong} placeholder="COVEY-XXXX-XXXX" className="mono" autoFocus autoComplete="off" spellCheck={false} readOnly={busy} />
        <div><Button onClick={() => setScanning(true)} blocked={busy && "It is joining already."}><ScanQrCode size={16} aria-hidden />Scan with the camera</Button></div>
        {!busy && <Nearby />}
      </div>
      {other && (
        <Note tone="look">
          {asDevice ? "This link lets you into a space. " : "This link makes this device one of somebody's own. "}
          <button type="button" className="button plain" onClick={() => onOther(asDevice ? "join" : "device")}>{asDevice ? "Join a space instead" : "Use it for that"}</button>
        </Note>
      )}
      {busy && (
        <div className="row wrap apart">
          <Wait text={job?.stage === "syncing" ? soFar(job) : LOOKING} />
          {job?.target ? <Button onClick={() => void arrive(spaceOf(job))}>{asDevice ? "Go on now" : "Open it now"}</Button> : <Button onClick={cancel} busy={job?.state === "cancelling"}>Cancel</Button>}
        </div>
      )}
      <div className="row apart">
        <Back onBack={back} />
        <Button type="submit" kind="main" big ref={act} busy={busy} blocked={(kind === "none" && "Give the code or the link first.") || (other && "This link is for something else.")}>{asDevice ? "Link this device" : "Join"}</Button>
      </div>
      {scanning && <Suspense fallback={null}><Scan onClose={() => setScanning(false)} onFound={take} /></Suspense>}
    </form>
  );
}
