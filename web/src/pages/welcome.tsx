/** The first run, and whenever another space is wanted: who one is, then start a space, join one, or become a device of one's own. */
import type { Status } from "@covey/client";
import { ArrowLeft, DoorOpen, MonitorSmartphone, Sprout } from "lucide-react";
import { useState, type FormEvent, type ReactNode } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { renameMe, useProfile } from "../api/profile.ts";
import { spacesOf, useStatus } from "../api/queries.ts";
import { useTitle } from "../frame/page.tsx";
import icon from "../icon.svg";
import { Button } from "../ui/button.tsx";
import { Field } from "../ui/field.tsx";
import { Wait } from "../ui/parts.tsx";
import { InvitePanel } from "../people/invite.tsx";
import { Words } from "../people/words.tsx";
import { Back, Join, type JoinKind } from "./join.tsx";

type Step = "you" | "space" | "start" | JoinKind | { invite: string } | { joined: string };

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
  const profile = useProfile();
  if (!data || profile.isPending) return <Wait text="Asking the node who you are" />;
  return <Names node={data.node} mayRename={Boolean(profile.data)} onNext={onNext} />;
}

interface NamesProps {
  node: Status["node"];
  /** Whether this node lets people change their name. */
  mayRename: boolean;
  onNext: () => void;
}

function Names({ node, mayRename, onNext }: NamesProps) {
  const [user, setUser] = useState(node.user);
  const [device, setDevice] = useState(node.device);
  const [wrong, setWrong] = useState<{ user?: string; device?: string }>({});
  const [busy, setBusy] = useState(false);
  const next = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setWrong({});
    const userWrong = user.trim() === node.user ? null : await failureOf(renameMe(user.trim()));
    const deviceWrong = device.trim() === node.device ? null : await failureOf(api.renameDevice(node.peer_id, device.trim()));
    await queries.invalidateQueries({ queryKey: keys.status });
    setBusy(false);
    if (userWrong || deviceWrong) setWrong({ ...(userWrong && { user: userWrong }), ...(deviceWrong && { device: deviceWrong }) });
    else onNext();
  };
  const blocked = (!user.trim() && "Say what you are called.") || (!device.trim() && "The device needs a name.");
  return (
    <form className="stack wide" onSubmit={(event) => void next(event)}>
      <div className="stack tight">
        <h1>This is Covey.</h1>
        <p className="soft">Your team's room, on your own machines. No account, no server: what you share is on your devices, encrypted, and works without the internet.</p>
      </div>
      <div className="card pad stack">
        {mayRename ? (
          <Field label="Your name" value={user} onChange={(event) => setUser(event.target.value)} wrong={wrong.user} hint="People in your spaces see it. You can change it later." autoComplete="name" dir="auto" />
        ) : (
          <div className="field"><span className="label">Your name</span><p dir="auto">{node.user}</p><p className="hint soft tiny">As you gave it when Covey was started. People in your spaces see it.</p></div>
        )}
        <Field label="This device's name" value={device} onChange={(event) => setDevice(event.target.value)} wrong={wrong.device} hint="So that you can tell your devices apart." autoComplete="off" dir="auto" />
      </div>
      <Button type="submit" kind="main" big busy={busy} blocked={blocked}>Go on</Button>
    </form>
  );
}

const failureOf = (work: Promise<unknown>): Promise<string | null> =>
  work.then(() => null, (error: unknown) => (error instanceof Error ? error.message : "It did not work."));

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
        {option("join", <DoorOpen size={22} />, "Join a space", "Somebody gave you a code, a link or a QR code to scan.")}
        {option("device", <MonitorSmartphone size={22} />, "Another device of mine", "You already use Covey on another machine, and have linked this one there.")}
      </div>
    </div>
  );
}

/** A room to begin in, as people expect one. Where it can't be made the space is there all the same, and offers to start one. */
const firstChannel = (space: string): Promise<unknown> =>
  api.createChannel(space, { name: "general", private: false, topic: "" }).catch(() => undefined);

function Start({ onBack, onDone }: { onBack: () => void; onDone: (id: string) => void }) {
  const [name, setName] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const start = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    api.createSpace(name.trim())
      .then(async (space) => {
        await firstChannel(space.id);
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
      {data && <Words words={data.node.words} big />}
      <Button kind="main" big onClick={onDone}>Open the space</Button>
    </div>
  );
}
