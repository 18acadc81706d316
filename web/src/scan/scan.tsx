/** A window that reads an invitation's QR code with the camera. The picture is looked at here and goes nowhere. */
import { useEffect, useRef, useState } from "react";
import { kindOfCode, tidyCode } from "../lib/join-code.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Note, Wait } from "../ui/parts.tsx";
import { CameraError, closeCamera, openCamera } from "./camera.ts";
import { makeReader } from "./reader.ts";

/** Between two looks at the picture: soon enough for a hand, and the page stays quick. */
const LOOK_EVERY_MS = 150;

interface ScanProps {
  onClose: () => void;
  /** Called once, with a link or a code that Covey may have made. */
  onFound: (text: string) => void;
}

export default function Scan({ onClose, onFound }: ScanProps) {
  const [failed, setFailed] = useState<string | null>(null);
  return (
    <Dialog open onClose={onClose} title="Scan the QR code">
      {failed === null ? <Viewfinder onFound={onFound} onFail={setFailed} /> : (
        <>
          <Note tone="look">{failed}</Note>
          <div className="row wrap">
            <Button kind="main" onClick={() => setFailed(null)}>Try again</Button>
            <Button onClick={onClose}>Type the code instead</Button>
          </div>
        </>
      )}
    </Dialog>
  );
}

function Viewfinder({ onFound, onFail }: { onFound: (text: string) => void; onFail: (why: string) => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<"opening" | "looking" | "foreign">("opening");
  const told = useRef({ onFound, onFail });
  told.current = { onFound, onFail };
  useEffect(() => {
    const gone = new AbortController();
    scan(video.current, gone.signal, setState)
      .then((text) => text !== null && told.current.onFound(text))
      .catch((error: unknown) => told.current.onFail(error instanceof CameraError ? error.message : "The camera does not work here."));
    return () => gone.abort();
  }, []);
  return (
    <>
      <p className="soft">Hold the code that the other screen shows before the camera.</p>
      <div className="viewfinder"><video ref={video} muted playsInline aria-label="What the camera sees" /></div>
      {state === "foreign" && <Note tone="look">There is a QR code in the picture, but it is no invitation to Covey.</Note>}
      {state !== "foreign" && <Wait text={state === "opening" ? "Opening the camera. The browser may ask you first." : "Looking for a code"} />}
      <p className="soft small">The picture stays in this page. It is neither kept nor sent.</p>
    </>
  );
}

/** Looks until a code is found, or gives null when it isn't wanted any more. */
async function scan(video: HTMLVideoElement | null, gone: AbortSignal, onState: (state: "looking" | "foreign") => void): Promise<string | null> {
  if (!video) return null;
  const stream = await openCamera();
  try {
    if (gone.aborted) return null;
    video.srcObject = stream;
    await video.play();
    onState("looking");
    const read = await makeReader();
    while (!gone.aborted) {
      const text = await read(video);
      if (text !== null && !gone.aborted) {
        if (isInvitation(text)) return text;
        onState("foreign");
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    return null;
  } catch (error) {
    // Closing the window while it opens breaks off `play`, which is no failure.
    if (gone.aborted) return null;
    throw error;
  } finally {
    closeCamera(stream);
  }
}

/** Covey's own codes hold a link; a printed code alone is taken too. */
export const isInvitation = (text: string): boolean => {
  const kind = kindOfCode(text);
  return kind === "space-link" || kind === "device-link" || /^COVEY(-[0-9A-Z]{4}){2}$/.test(tidyCode(text));
};
