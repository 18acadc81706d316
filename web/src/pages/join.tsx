/** Coming in by a code, a link, or a QR code before the camera. */
import { ArrowLeft, ScanQrCode } from "lucide-react";
import { lazy, Suspense, useRef, useState, type FormEvent } from "react";
import { api, queries } from "../api/client.ts";
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

interface JoinProps {
  asDevice: boolean;
  onBack: () => void;
  onDone: (space: string) => void;
  onOther: (kind: JoinKind) => void;
}

export function Join({ asDevice, onBack, onDone, onOther }: JoinProps) {
  const [code, setCode] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [scanning, setScanning] = useState(false);
  const act = useRef<HTMLButtonElement>(null);
  const kind = kindOfCode(code);
  const other = (asDevice && kind === "space-link") || (!asDevice && kind === "device-link");
  const join = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setWrong(null);
    try {
      const tidy = tidyCode(code);
      const space = asDevice
        ? (await api.joinAsDevice(tidy, JOIN_SECONDS)).spaces[0]?.id ?? ""
        : (await api.join(tidy, JOIN_SECONDS)).space.id;
      await queries.invalidateQueries();
      onDone(space);
    } catch (error) {
      setWrong(error instanceof Error ? error.message : "It did not work.");
    } finally {
      setBusy(false);
    }
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
      {busy && <Wait text="Looking for the other side, and fetching what is there. This takes up to a minute." />}
      <div className="row apart">
        <Back onBack={onBack} />
        <Button type="submit" kind="main" big ref={act} busy={busy} blocked={(kind === "none" && "Give the code or the link first.") || (other && "This link is for something else.")}>{asDevice ? "Link this device" : "Join"}</Button>
      </div>
      {scanning && <Suspense fallback={null}><Scan onClose={() => setScanning(false)} onFound={take} /></Suspense>}
    </form>
  );
}
