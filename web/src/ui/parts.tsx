/** Small parts that pages are made of. */
import { Check, CircleAlert, Copy as CopyIcon, Info, Laptop, Monitor, Server, Smartphone, Tablet } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { colourOf, glyphOf, markOf } from "../lib/identity.ts";
import { Button } from "./button.tsx";

export type Tone = "calm" | "good" | "look" | "bad";

/** A person's colour and mark. It says nothing by itself, so it always stands beside the name. */
export function Avatar({ id, size = 32 }: { id: string; size?: 20 | 24 | 32 | 40 }) {
  const colour = colourOf(id);
  const style = { background: `var(--p${colour}-ground)`, color: `var(--p${colour})` };
  return <span className={`avatar s${size}`} style={style} aria-hidden>{markOf(id)}</span>;
}

const GLYPHS = { phone: Smartphone, tablet: Tablet, server: Server, desktop: Monitor, laptop: Laptop };

export function DeviceMark({ name, size = 32 }: { name: string; size?: 24 | 32 | 40 }) {
  const Glyph = GLYPHS[glyphOf(name)];
  return <span className={`avatar device s${size}`} aria-hidden><Glyph size={size / 2} /></span>;
}

export const Pill = ({ tone, children }: { tone: Tone; children: ReactNode }) => <span className={`pill ${tone}`}>{children}</span>;

export function Note({ tone, children }: { tone: Tone; children: ReactNode }) {
  const Icon = tone === "good" ? Check : tone === "calm" ? Info : CircleAlert;
  return (
    <div className={`note ${tone}`} role={tone === "bad" ? "alert" : undefined}>
      <Icon size={16} aria-hidden />
      <div className="grow">{children}</div>
    </div>
  );
}

interface EmptyProps {
  icon: ReactNode;
  title: string;
  children: ReactNode;
  act?: ReactNode;
}

/** An empty place says what it is for, and offers the one act that fills it. */
export const Empty = ({ icon, title, children, act }: EmptyProps) => (
  <div className="empty">
    <span className="badge" aria-hidden>{icon}</span>
    <h2>{title}</h2>
    <p>{children}</p>
    {act}
  </div>
);

export function Copy({ text, label }: { text: string; label: string }) {
  const [state, setState] = useState<"idle" | "done" | "failed">("idle");
  useEffect(() => {
    if (state === "idle") return;
    const timer = setTimeout(() => setState("idle"), 2500);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = () => void copyText(text).then((ok) => setState(ok ? "done" : "failed"));
  return (
    <Button onClick={copy}>
      {state === "done" ? <Check size={16} aria-hidden /> : <CopyIcon size={16} aria-hidden />}
      <span aria-live="polite">{state === "done" ? "Copied" : state === "failed" ? "Select and copy it" : label}</span>
    </Button>
  );
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

export const Wait = ({ text }: { text: string }) => (
  <p className="row soft small" role="status">
    <span className="wait" aria-hidden /> {text}
  </p>
);

export function Bar({ done, total, label }: { done: number; total: number; label: string }) {
  const part = total > 0 ? Math.min(100, Math.round((100 * done) / total)) : 0;
  return (
    <div className="bar" role="progressbar" aria-label={label} aria-valuenow={part} aria-valuemin={0} aria-valuemax={100}>
      <i style={{ width: `${part}%` }} />
    </div>
  );
}
