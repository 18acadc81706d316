/** Short news at the bottom of the page, read aloud, gone by itself. */
import { X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { sentence, unturned } from "../lib/format.ts";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

/** More than this at once nobody reads. */
const MOST = 3;
const SHOWN_MS = 6000;

let toasts: Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

function change(to: Toast[]): void {
  toasts = to;
  for (const listener of listeners) listener();
}

const drop = (id: number) => change(toasts.filter((toast) => toast.id !== id));

export function toast(text: string, bad = false): void {
  const id = next++;
  change([...toasts, { id, text: unturned(text), bad }].slice(-MOST));
  setTimeout(() => drop(id), SHOWN_MS);
}

export const toastError = (error: unknown): void => toast(error instanceof Error ? sentence(error.message) : "It did not work.", true);

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((one) => (
        <div key={one.id} className={`toast ${one.bad ? "bad" : ""}`}>
          <span>{one.text}</span>
          <button type="button" className="icon-button" style={{ color: "inherit", width: 24, height: 24 }} aria-label="Dismiss" onClick={() => drop(one.id)}>
            <X size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}
