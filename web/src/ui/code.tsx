/** A way in: the code in big letters, the same as a picture, and how long it lives. */
import { lazy, Suspense, useEffect, useState } from "react";
import { countdown } from "../lib/format.ts";
import { Copy } from "./parts.tsx";

const Qr = lazy(() => import("./qr.tsx"));

/** Seconds until `at`, counted by the wall clock so that a sleeping laptop doesn't stretch them. */
export function useSecondsUntil(at: string): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  return (Date.parse(at) - now) / 1000;
}

/** A ring that empties. */
export function Ring({ left, total }: { left: number; total: number }) {
  const part = Math.max(0, Math.min(1, left / total));
  const around = 2 * Math.PI * 20;
  return (
    <span className="row" role="timer" aria-label={`Valid for ${countdown(left)} more`}>
      <svg width="48" height="48" viewBox="0 0 48 48" aria-hidden>
        <circle cx="24" cy="24" r="20" fill="none" stroke="var(--line)" strokeWidth="4" />
        <circle cx="24" cy="24" r="20" fill="none" stroke="var(--accent)" strokeWidth="4" strokeLinecap="round"
          strokeDasharray={around} strokeDashoffset={around * (1 - part)} transform="rotate(-90 24 24)" />
      </svg>
      <span className="stack tight" style={{ gap: 0 }} aria-hidden>
        <b className="num">{countdown(left)}</b>
        <span className="tiny soft">left</span>
      </span>
    </span>
  );
}

export function CodeCard({ code, link }: { code: string; link: string }) {
  return (
    <div className="stack" style={{ alignItems: "center" }}>
      <p className="code-letters" aria-label={`The code is ${[...code].join(" ")}`}>{code}</p>
      <Suspense fallback={<div className="qr" />}><Qr text={link} /></Suspense>
      <div className="row wrap" style={{ justifyContent: "center" }}>
        <Copy text={code} label="Copy code" />
        <Copy text={link} label="Copy link" />
      </div>
    </div>
  );
}
