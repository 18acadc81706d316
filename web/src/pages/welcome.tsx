/** The first run, and whenever another space is wanted: who one is, then start a space, join one, or become a device of one's own. */
import { ArrowLeft, DoorOpen, MonitorSmartphone, Sprout } from "lucide-react";
import { useState, type FormEvent, type ReactNode } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { spacesOf, useStatus } from "../api/queries.ts";
import { useTitle } from "../frame/page.tsx";
import icon from "../icon.svg";
import { kindOfCode, tidyCode } from "../lib/join-code.ts";
import { Button } from "../ui/button.tsx";
import { Field } from "../ui/field.tsx";
import { Note, Wait } from "../ui/parts.tsx";
import { InvitePanel } from "../people/invite.tsx";
import { Words } from "../people/words.tsx";

type Step = "you" | "space" | "start" | "join" | "device" | { invite: string } | { joined: string };

/** How long a join looks for the other side. It has to be found first, and may be on its way here. */
const JOIN_SECONDS = 60;

export default function Welcome() {
  const { data } = useStatus();
  const wanted = new URLSearchParams(useSearch()).get("step");
  const [step, setStep] = useState<Step>(wanted === "space" ? "space" : "you");
  const [, go] = useLocation();
  useTitle("Welcome");
  const open = (space: string) => go(`/s/${space}`);
  const at = step === "you" ? 0 : typeof step === "object" ? 2 : 1;
  const hasSpaces = spacesOf(data).length > 0;
  return (
    <main className="centre">
      <div className="welcome">
        <div className="row apart">
          <span className="brand"><img src={icon} alt="" />Covey</span>
          {hasSpaces ? <Link href="/" className="button quiet"><ArrowLeft size={16} aria-hidden />Back</Link> : <span className="steps" aria-hidden>{[0, 1, 2].map((n) => <i key={n} className={n <= at ? "on" : ""} />)}</span>}
        </div>
        {step === "you" && <You onNext={() => setStep("space")} />}
        {step === "space" && <Choose onChoose={setStep} />}
        {step === "start" && <Start onBack={() => setStep("space")} onDone={(id) => setStep({ invite: id })} />}
        {(step === "join" || step === "device") && <Join asDevice={step === "device"} onBack={() => setStep("space")} onDone={(id) => setStep({ joined: id })} onOther={setStep} />}
        {typeof step === "object" && "invite" in step && <FirstInvite space={step.invite} onDone={() => open(step.invite)} />}
        {typeof step === "object" && "joined" in step && <JoinedAs onDone={() => (step.joined ? open(step.joined) : go("/"))} />}
      </div>
    </main>
  );
}

function You({ onNext }: { onNext: () => void }) {
  const { data } = useStatus();
  const [device, setDevice] = useState<string | null>(null);
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  if (!data) return <Wait text="Asking the node who you are" />;
  const name = device ?? data.node.device;
  const next = async (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() === data.node.device) return onNext();
    setBusy(true);
    try {
      await api.renameDevice(data.node.peer_id, name.trim());
      await queries.invalidateQueries({ queryKey: keys.status });
      onNext();
    } catch (error) {
      setWrong(error instanceof Error ? error.message : "It did not work.");
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="stack wide" onSubmit={(event) => void next(event)}>
      <div className="stack tight">
        <h1>This is Covey.</h1>
        <p className="soft">Your team's room, on your own machines. No account, no server: what you share is on your devices, encrypted, and works without the internet.</p>
      </div>
      <div className="card pad stack">
        <div className="field"><span className="label">Your name</span><p>{data.node.user}</p><p className="hint soft tiny">As you gave it when Covey was started. People in your spaces see it.</p></div>
        <Field label="This device's name" value={name} onChange={(event) => setDevice(event.target.value)} wrong={wrong} hint="So that you can tell your devices apart." />
      </div>
      <Button type="submit" kind="main" big busy={busy} blocked={!name.trim() && "The device needs a name."}>Go on</Button>
    </form>
  );
}

function Choose({ onChoose }: { onChoose: (step: Step) => void }) {
  const option = (step: Step, icon: ReactNode, title: string, text: string) => (
    <button type="button" className="option" onClick={() => onChoose(step)}>{icon}<div><b>{title}</b><span>{text}</span></div></button>
  );
  return (
    <div className="stack wide">
      <div className="stack tight">
        <h1>Start or join a space</h1>
        <p className="soft">A space is a team's room: its people, what they say, and what they keep.</p>
      </div>
      <div className="stack">
        {option("start", <Sprout size={22} />, "Start a space", "Name it, then invite the others by a code.")}
        {option("join", <DoorOpen size={22} />, "Join a space", "Somebody gave you a code or a link.")}
        {option("device", <MonitorSmartphone size={22} />, "Another device of mine", "You already use Covey on another machine, and have linked this one there.")}
      </div>
    </div>
  );
}

const Back = ({ onBack }: { onBack: () => void }) => <Button kind="quiet" onClick={onBack}><ArrowLeft size={16} aria-hidden />Back</Button>;

function Start({ onBack, onDone }: { onBack: () => void; onDone: (id: string) => void }) {
  const [name, setName] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const start = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    api.createSpace(name.trim())
      .then(async (space) => {
        await queries.invalidateQueries({ queryKey: keys.status });
        onDone(space.id);
      })
      .catch((error: Error) => setWrong(error.message))
      .finally(() => setBusy(false));
  };
  return (
    <form className="stack wide" onSubmit={start}>
      <h1>Start a space</h1>
      <Field label="What is it called?" value={name} onChange={(event) => setName(event.target.value)} wrong={wrong} placeholder="garden" hint="A team, a household, a project." autoFocus />
      <div className="row apart">
        <Back onBack={onBack} />
        <Button type="submit" kind="main" big busy={busy} blocked={!name.trim() && "Give it a name first."}>Start it</Button>
      </div>
    </form>
  );
}

interface JoinProps {
  asDevice: boolean;
  onBack: () => void;
  onDone: (space: string) => void;
  onOther: (step: Step) => void;
}

function Join({ asDevice, onBack, onDone, onOther }: JoinProps) {
  const [code, setCode] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
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
  return (
    <form className="stack wide" onSubmit={(event) => void join(event)}>
      <div className="stack tight">
        <h1>{asDevice ? "Another device of mine" : "Join a space"}</h1>
        <p className="soft">{asDevice ? "On your other device choose \"Link a device\". It shows a code; give it here." : "Type the code, or paste the link."}</p>
      </div>
      <Field label="Code or link" value={code} onChange={(event) => setCode(event.target.value)} wrong={wrong} placeholder="COVEY-XXXX-XXXX" className="mono" autoFocus autoComplete="off" spellCheck={false} readOnly={busy} />
      {other && (
        <Note tone="look">
          {asDevice ? "This link lets you into a space. " : "This link makes this device one of somebody's own. "}
          <button type="button" className="button plain" onClick={() => onOther(asDevice ? "join" : "device")}>{asDevice ? "Join a space instead" : "Use it for that"}</button>
        </Note>
      )}
      {busy && <Wait text="Looking for the other side, and fetching what is there. This takes up to a minute." />}
      <div className="row apart">
        <Back onBack={onBack} />
        <Button type="submit" kind="main" big busy={busy} blocked={(kind === "none" && "Give the code or the link first.") || (other && "This link is for something else.")}>{asDevice ? "Link this device" : "Join"}</Button>
      </div>
    </form>
  );
}

const FirstInvite = ({ space, onDone }: { space: string; onDone: () => void }) => (
  <div className="stack wide">
    <div className="stack tight">
      <h1>Let someone in</h1>
      <p className="soft">Give them this code in any way: by voice, on paper, in a message.</p>
    </div>
    <div className="card pad stack"><InvitePanel space={space} onDone={onDone} /></div>
    <Button kind="quiet" onClick={onDone}>Later, show me the space</Button>
  </div>
);

function JoinedAs({ onDone }: { onDone: () => void }) {
  const { data } = useStatus();
  return (
    <div className="stack wide">
      <div className="stack tight">
        <h1>You are in.</h1>
        <p className="soft">Whoever let you in sees the same four words for this device. Compare them once, and both of you know that nobody stands between you.</p>
      </div>
      {data && <Words fingerprint={data.node.fingerprint} big />}
      <Button kind="main" big onClick={onDone}>Open the space</Button>
    </div>
  );
}
