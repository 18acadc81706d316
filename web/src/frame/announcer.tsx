/** Says where one has come to, for screen readers: a single-page app changes without the browser telling them. */
import { useSyncExternalStore } from "react";

let text = "";
const listeners = new Set<() => void>();

export function announce(next: string): void {
  text = next;
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export function Announcer() {
  const shown = useSyncExternalStore(subscribe, () => text);
  return <p className="hidden-text" aria-live="polite">{shown}</p>;
}
